"""What was sampled and from where: a result of a metastasis is not one of the primary tumour."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("labs", "0005_release")]

    operations = [
        migrations.AddField(
            model_name="observation",
            name="specimen_type",
            field=models.CharField(blank=True, default="", help_text="SPM-4", max_length=200),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="observation",
            name="body_site",
            field=models.CharField(blank=True, default="", help_text="SPM-8", max_length=200),
            preserve_default=False,
        ),
    ]
