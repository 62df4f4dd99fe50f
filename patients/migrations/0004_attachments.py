"""A file is reached by whoever reaches its area of the record; features narrow that further."""

from django.db import migrations

from core.row_security import protect


class Migration(migrations.Migration):
    dependencies = [
        ("patients", "0003_writers_and_reaches"),
        ("core", "0004_attachments"),
    ]
    operations = [protect("core_attachment", using="can_see(patient_id, area)")]
