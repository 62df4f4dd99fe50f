"""Documents of results, seen exactly where their results are seen."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

import core.crypto
import core.ids
from core.row_security import protect

# A file says everything that its report says. While any result of the report is kept from her,
# or was taken back after the file came, the file is kept from her too. Under her own identity
# withheld results do not exist, so the question is asked by the owner. Patient, report, and the
# version of the result that brought the file.
REPORT_OPEN = """
CREATE FUNCTION labs_report_open(uuid, uuid, uuid) RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT NOT EXISTS (
    SELECT 1 FROM labs_observation o JOIN labs_observation file ON file.id = $3
    WHERE o.patient_id = $1 AND o.report_id = $2 AND o.superseded_at IS NULL
      AND (o.visible_from IS NULL OR o.visible_from > now() OR o.withdrawn_at IS NOT NULL
        OR o.state IN ('HELD', 'RETRACTED'))
      AND (o.withdrawn_at IS NULL OR o.withdrawn_at >= file.filed_at)
      AND (o.withdrawn_at IS NULL OR o.message_id IS DISTINCT FROM file.message_id
        OR o.id = file.id))
$$;
"""
DROP = "DROP FUNCTION labs_report_open(uuid, uuid, uuid);"
NOT_HERSELF = "app_kind() NOT IN ('patient', 'proxy')"
RELEASED = (
    "EXISTS (SELECT 1 FROM labs_observation o WHERE o.id = labs_document.observation_id "
    "AND o.superseded_at IS NULL) AND labs_report_open(patient_id, report_id, observation_id)"
)
# A patient reaches a file of the laboratory only through the document that holds it.
FILES_OF_DOCUMENTS = f"""
ALTER POLICY reach_select ON core_attachment USING (
  can_see(patient_id, area) AND ({NOT_HERSELF} OR area <> 'labs'
    OR EXISTS (SELECT 1 FROM labs_document d WHERE d.attachment_id = core_attachment.id)));
ALTER POLICY reach_insert ON core_attachment WITH CHECK (
  can_see(patient_id, area) AND ({NOT_HERSELF} OR area <> 'labs'));
"""
FILES_OF_THE_AREA = """
ALTER POLICY reach_select ON core_attachment USING (can_see(patient_id, area));
ALTER POLICY reach_insert ON core_attachment WITH CHECK (can_see(patient_id, area));
"""


class Migration(migrations.Migration):
    dependencies = [
        ("labs", "0004_fhir_door"),
        ("core", "0004_attachments"),
        ("patients", "0004_attachments"),
    ]
    operations = [
        migrations.CreateModel(
            name="Document",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=core.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("position", models.PositiveSmallIntegerField()),
                ("title", models.CharField(max_length=500)),
                ("reference", core.crypto.EncryptedBinaryField(null=True)),
                ("filed_at", models.DateTimeField()),
                (
                    "attachment",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="document",
                        to="core.attachment",
                    ),
                ),
                (
                    "observation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="documents",
                        to="labs.observation",
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="patients.patient",
                    ),
                ),
                (
                    "report",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="documents",
                        to="labs.diagnosticreport",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["patient", "report"], name="document_of_report")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=["patient", "observation", "position"],
                        name="document_position_once",
                    ),
                    models.CheckConstraint(
                        condition=Q(attachment__isnull=True, reference__isnull=False)
                        | Q(attachment__isnull=False, reference__isnull=True),
                        name="document_bytes_or_reference",
                    ),
                ],
            },
        ),
        migrations.RunSQL(REPORT_OPEN, DROP),
        protect(
            "labs_document",
            using=f"can_see(patient_id, 'labs') AND ({NOT_HERSELF} OR {RELEASED})",
            check=f"can_see(patient_id, 'labs') AND {NOT_HERSELF}",
        ),
        migrations.RunSQL(FILES_OF_DOCUMENTS, FILES_OF_THE_AREA),
    ]
