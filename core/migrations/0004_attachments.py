"""Files of a record. Their row security needs `can_see`, which `patients` brings."""

from django.db import migrations, models

import core.crypto
import core.ids


class Migration(migrations.Migration):
    dependencies = [("core", "0003_audit_partitions")]
    operations = [
        migrations.CreateModel(
            name="Attachment",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=core.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("patient_id", models.UUIDField()),
                ("area", models.CharField(max_length=16)),
                ("media_type", models.CharField(max_length=40)),
                ("size", models.PositiveIntegerField()),
                ("sha256", models.CharField(max_length=64)),
                ("content", core.crypto.EncryptedBinaryField()),
                ("stored_at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["patient_id", "area"], name="attachment_of_patient")
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(size__gte=1, size__lte=10_000_000),
                        name="attachment_size_in_bounds",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(sha256__regex=r"^[0-9a-f]{64}$"),
                        name="attachment_has_hash",
                    ),
                ],
            },
        ),
    ]
