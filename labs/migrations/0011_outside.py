"""Who has opened a report, a patient's own baselines, and results that she enters herself."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import core.ids
import labs.models.fields
from core.row_security import protect

NOT_HERSELF = "app_kind() NOT IN ('patient', 'proxy')"
# The portal writes down what a patient enters; nobody else makes such a row.
WRITES_RESULT = (
    f"can_see(patient_id, 'labs') AND {NOT_HERSELF} "
    "AND (origin <> 'patient' OR app_kind() = 'system')"
)
WROTE_RESULT = f"can_see(patient_id, 'labs') AND ({NOT_HERSELF} OR origin = 'patient')"
TIGHTEN = """
ALTER POLICY reach_insert ON labs_observation WITH CHECK ({check});
ALTER POLICY reach_update ON labs_observation WITH CHECK ({check});
"""
# A baseline that was taken from a result is hers to see when the result is.
BASELINE = (
    f"can_see(patient_id, 'labs') AND ({NOT_HERSELF} OR observation_id IS NULL OR EXISTS "
    "(SELECT 1 FROM labs_observation o WHERE o.id = labs_analytebaseline.observation_id))"
)
SETS_BASELINE = "can_see(patient_id, 'labs') AND app_kind() = 'staff' AND set_by_id = app_user()"


class Migration(migrations.Migration):
    dependencies = [
        ("labs", "0010_biomarkers"),
        ("patients", "0003_writers_and_reaches"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AnalyteBaseline",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=core.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("analyte_key", models.CharField(max_length=40)),
                (
                    "value",
                    labs.models.fields.ExactNumberField(
                        decimal_places=30, max_digits=60, null=True
                    ),
                ),
                ("unit_ucum", models.CharField(blank=True, max_length=40)),
                ("set_at", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="ReportSeen",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=core.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("seen_at", models.DateTimeField(help_text="when what she read was put together")),
            ],
        ),
        migrations.AlterField(
            model_name="observation",
            name="effective_basis",
            field=models.CharField(
                choices=[
                    ("observed", "OBX-14"),
                    ("collected", "OBR-7"),
                    ("specimen", "SPM-17"),
                    ("resulted", "OBR-22"),
                    ("message", "MSH-7"),
                    ("received", "time of receipt"),
                    ("entered", "day that the patient gave"),
                ],
                max_length=9,
            ),
        ),
        migrations.AlterField(
            model_name="observation",
            name="laboratory",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="labs.sendinglaboratory",
            ),
        ),
        migrations.AlterField(
            model_name="observation",
            name="report",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="observations",
                to="labs.diagnosticreport",
            ),
        ),
        migrations.AddConstraint(
            model_name="observation",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("comparable", False),
                        ("discrepancy", False),
                        ("filed_by__isnull", False),
                        ("laboratory__isnull", True),
                        ("origin", "patient"),
                        ("report__isnull", True),
                        ("staff_critical", False),
                    ),
                    models.Q(
                        models.Q(("origin", "patient"), _negated=True),
                        ("laboratory__isnull", False),
                        ("report__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="observation_entered_moves_nobody",
            ),
        ),
        migrations.AddField(
            model_name="analytebaseline",
            name="observation",
            field=models.ForeignKey(
                db_index=False,
                help_text="the result it was taken from; null = typed in",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="labs.observation",
            ),
        ),
        migrations.AddField(
            model_name="analytebaseline",
            name="patient",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="patients.patient",
            ),
        ),
        migrations.AddField(
            model_name="analytebaseline",
            name="set_by",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="reportseen",
            name="patient",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="patients.patient",
            ),
        ),
        migrations.AddField(
            model_name="reportseen",
            name="report",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="labs.diagnosticreport",
            ),
        ),
        migrations.AddField(
            model_name="reportseen",
            name="user",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddIndex(
            model_name="analytebaseline",
            index=models.Index(
                fields=["patient", "analyte_key", "-set_at", "-id"], name="baseline_newest"
            ),
        ),
        migrations.AddConstraint(
            model_name="analytebaseline",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(
                        ("value__gt", 0),
                        ("value__isnull", False),
                        models.Q(("unit_ucum", ""), _negated=True),
                    ),
                    models.Q(
                        ("observation__isnull", True), ("unit_ucum", ""), ("value__isnull", True)
                    ),
                    _connector="OR",
                ),
                name="baseline_has_value_and_unit",
            ),
        ),
        migrations.AddConstraint(
            model_name="reportseen",
            constraint=models.UniqueConstraint(
                fields=("patient", "user", "report"), name="report_seen_once"
            ),
        ),
        protect("labs_reportseen", using="can_see(patient_id, 'labs') AND user_id = app_user()"),
        protect("labs_analytebaseline", using=BASELINE, check=SETS_BASELINE),
        migrations.RunSQL(TIGHTEN.format(check=WRITES_RESULT), TIGHTEN.format(check=WROTE_RESULT)),
    ]
