"""A fact of the profile names the result and report that it rests on."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("patients", "0004_attachments"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="profilefact",
            name="observation_id",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="profilefact",
            name="report_id",
            field=models.UUIDField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name="profilefact",
            name="result",
            field=models.CharField(
                choices=[
                    ("present", "Present"),
                    ("absent", "Absent"),
                    ("positive", "Positive"),
                    ("negative", "Negative"),
                    ("low", "Low"),
                    ("ultralow", "Ultralow"),
                    ("equivocal", "Equivocal"),
                    ("uncertain", "Uncertain"),
                    ("not-tested", "Not Tested"),
                    ("unknown", "Unknown"),
                ],
                max_length=12,
            ),
        ),
        migrations.AddConstraint(
            model_name="profilefact",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("observation_id__isnull", True), ("report_id__isnull", True)),
                    models.Q(
                        ("observation_id__isnull", False),
                        ("recorded_by__isnull", False),
                        ("report_id__isnull", False),
                        ("starts_on__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="profile_fact_evidence_dated_and_confirmed",
            ),
        ),
    ]
