"""Tumour markers that wait for a clinician; a decision is made once."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import core.ids
from core.row_security import freeze, protect


class Migration(migrations.Migration):
    dependencies = [
        ("labs", "0006_review"),
        ("patients", "0005_profile_evidence"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="BiomarkerProposal",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=core.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "rests_on",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(), size=None
                    ),
                ),
                (
                    "marker",
                    models.CharField(
                        choices=[
                            ("ER", "ER"),
                            ("PR", "PR"),
                            ("HER2", "HER2"),
                            ("PIK3CA", "PIK3CA"),
                            ("ESR1", "ESR1"),
                            ("BRCA1", "BRCA1"),
                            ("BRCA2", "BRCA2"),
                            ("PDL1", "PDL1"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "reading",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("positive", "POSITIVE"),
                            ("low", "LOW"),
                            ("ultralow", "ULTRALOW"),
                            ("zero", "ZERO"),
                            ("negative", "NEGATIVE"),
                            ("equivocal", "EQUIVOCAL"),
                            ("uncertain", "UNCERTAIN"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "unread",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("missing", "MISSING"),
                            ("not-tested", "NOT_TESTED"),
                            ("not-final", "NOT_FINAL"),
                            ("unknown-text", "UNKNOWN_TEXT"),
                            ("between-categories", "BETWEEN"),
                            ("out-of-bounds", "OUT_OF_BOUNDS"),
                            ("contradiction", "CONTRADICTION"),
                            ("assay-unknown", "ASSAY_UNKNOWN"),
                        ],
                        max_length=20,
                    ),
                ),
                ("source_text", models.TextField(blank=True)),
                ("detail", models.CharField(blank=True, max_length=120)),
                ("rule_version", models.CharField(max_length=20)),
                ("specimen", models.CharField(blank=True, max_length=200)),
                ("collected_on", models.DateField()),
                ("proposed_at", models.DateTimeField()),
                (
                    "decision",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "open"),
                            ("accepted", "Accepted"),
                            ("changed", "Changed"),
                            ("refused", "Refused"),
                            ("replaced", "Replaced"),
                        ],
                        default="",
                        max_length=8,
                    ),
                ),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                (
                    "decided_result",
                    models.CharField(
                        blank=True,
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
                ("decided_detail", models.CharField(blank=True, max_length=120)),
                ("reason", models.CharField(blank=True, max_length=300)),
                (
                    "decided_by",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "fact",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="patients.profilefact",
                    ),
                ),
                (
                    "observation",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="proposal",
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
                        related_name="+",
                        to="labs.diagnosticreport",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("decision", "")),
                        fields=["proposed_at"],
                        name="biomarker_queue",
                    ),
                    models.Index(fields=["patient", "marker"], name="biomarker_of_patient"),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("reading", ""), models.Q(("unread", ""), _negated=True)),
                            models.Q(models.Q(("reading", ""), _negated=True), ("unread", "")),
                            _connector="OR",
                        ),
                        name="biomarker_read_or_says_why",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decided_at__isnull", True), ("decision", "")),
                            models.Q(
                                models.Q(("decision", ""), _negated=True),
                                ("decided_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="biomarker_decided_at_a_time",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("decided_by__isnull", True), ("decision__in", ["", "replaced"])
                            ),
                            models.Q(
                                models.Q(("decision__in", ["", "replaced"]), _negated=True),
                                ("decided_by__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="biomarker_decided_by_a_person",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("decision__in", ["accepted", "changed"]),
                                ("fact__isnull", False),
                                models.Q(("decided_result", ""), _negated=True),
                            ),
                            models.Q(
                                models.Q(("decision__in", ["accepted", "changed"]), _negated=True),
                                ("decided_result", ""),
                                ("fact__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="biomarker_fact_after_a_decision",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decision", "accepted"), _negated=True),
                            models.Q(("reading", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="biomarker_unread_never_accepted",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decision__in", ["changed", "refused"]), _negated=True),
                            models.Q(("reason", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="biomarker_change_says_why",
                    ),
                ],
            },
        ),
        protect(
            "labs_biomarkerproposal",
            using="can_see(patient_id, 'labs') AND app_kind() NOT IN ('patient', 'proxy')",
        ),
        # A proposal says what was read; only its decision is added, once.
        freeze(
            "labs_biomarkerproposal",
            may_move=(
                *("decision", "decided_at", "decided_by_id", "decided_result"),
                *("decided_detail", "reason", "fact_id"),
            ),
            then={"OLD.decision <> ''": ()},
        ),
    ]
