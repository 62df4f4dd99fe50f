"""Release rules, holds and telling wishes: tables, row security, and rows nobody rewrites."""

import datetime

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import expressions

import core.ids
from core.row_security import freeze, protect

# A hold may be placed by staff of her care team, or by herself when she asks for it.
CARE_TEAM = (
    "EXISTS (SELECT 1 FROM patients_careteammember c "
    "WHERE c.patient_id = labs_releasehold.patient_id AND c.user_id = app_user() "
    "AND c.valid_from <= now() AND (c.valid_until IS NULL OR c.valid_until > now()))"
)
HER_OWN = "app_kind() = 'patient' AND reason_code = 'patient_request' AND placed_by_id = app_user()"
HOLD_SEEN = f"can_see(patient_id, 'labs') AND (app_kind() IN ('staff', 'system') OR ({HER_OWN}))"
HOLD_WRITTEN = (
    "can_see(patient_id, 'labs') AND (app_kind() = 'system' "
    f"OR (app_kind() = 'staff' AND {CARE_TEAM}) OR ({HER_OWN}))"
)
RULE_WRITTEN = "app_kind() = 'system' OR (app_kind() = 'staff' AND can_work('labs'))"


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_oauthclient"),
        ("labs", "0011_outside"),
        ("patients", "0005_profile_evidence"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="diagnosticreport",
            name="shown_version",
            field=models.PositiveIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="diagnosticreport",
            name="not_released_until",
            field=models.DateTimeField(null=True),
        ),
        migrations.CreateModel(
            name="ReleaseHold",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=core.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("identity_key", models.CharField(blank=True, max_length=64)),
                (
                    "reason_code",
                    models.CharField(
                        choices=[
                            ("discuss_first", "to be discussed with her first"),
                            ("risk_of_harm", "risk of serious harm"),
                            ("in_doubt", "the result is in doubt"),
                            ("patient_request", "she asked for it"),
                        ],
                        max_length=15,
                    ),
                ),
                ("words", models.CharField(blank=True, max_length=300)),
                (
                    "tells_of_delay",
                    models.BooleanField(
                        default=False,
                        help_text="she may read that some tests of the visit are not released "
                        "yet, and until when",
                    ),
                ),
                ("placed_at", models.DateTimeField()),
                ("backstop_at", models.DateTimeField()),
                ("lifted_at", models.DateTimeField(blank=True, null=True)),
                ("lift_reason", models.CharField(blank=True, max_length=300)),
                ("reminded_at", models.DateTimeField(blank=True, null=True)),
                (
                    "lifted_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="release_holds",
                        to="patients.patient",
                    ),
                ),
                (
                    "placed_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "report",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="holds",
                        to="labs.diagnosticreport",
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        fields=["patient", "-backstop_at"], name="release_hold_of_patient"
                    ),
                    models.Index(
                        condition=models.Q(
                            ("lifted_at__isnull", True), ("reminded_at__isnull", True)
                        ),
                        fields=["backstop_at"],
                        name="release_hold_to_remind",
                    ),
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("backstop_at__gt", models.F("placed_at")),
                            (
                                "backstop_at__lte",
                                expressions.CombinedExpression(
                                    models.F("placed_at"),
                                    "+",
                                    models.Value(datetime.timedelta(days=60)),
                                ),
                            ),
                        ),
                        name="release_hold_has_a_backstop",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("reason_code", "patient_request"),
                            models.Q(("words", ""), _negated=True),
                            _connector="OR",
                        ),
                        name="release_hold_says_why",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("lift_reason", ""),
                                ("lifted_at__isnull", True),
                                ("lifted_by__isnull", True),
                            ),
                            models.Q(
                                ("lifted_at__gte", models.F("placed_at")),
                                ("lifted_at__isnull", False),
                                ("lifted_by__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="release_hold_lifted_by_somebody",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="ReleaseRule",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=core.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.SlugField(max_length=30)),
                ("version", models.PositiveSmallIntegerField(default=1)),
                (
                    "result_class",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("labs", "labs"),
                            ("tumour_markers", "tumour markers"),
                            ("pathology_and_scans", "pathology and scans"),
                        ],
                        max_length=20,
                    ),
                ),
                ("analyte_key", models.CharField(blank=True, max_length=40)),
                ("loinc", models.CharField(blank=True, max_length=10)),
                (
                    "timing",
                    models.CharField(
                        choices=[("elapsed_hours", "elapsed hours"), ("local_day", "local day")],
                        max_length=14,
                    ),
                ),
                ("amount", models.PositiveSmallIntegerField(help_text="hours, or local days")),
                (
                    "at_time",
                    models.TimeField(default="00:00", help_text="the local hour of that day"),
                ),
                (
                    "reason",
                    models.CharField(
                        help_text="the law or policy that asks for it", max_length=300
                    ),
                ),
                (
                    "tells_of_delay",
                    models.BooleanField(
                        default=False,
                        help_text="she may read that some tests of the visit are not released "
                        "yet, and until when",
                    ),
                ),
                ("valid_from", models.DateField()),
                ("valid_until", models.DateField(blank=True, null=True)),
                ("approved_at", models.DateTimeField(blank=True, null=True)),
                (
                    "approved_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "author",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "laboratory",
                    models.ForeignKey(
                        blank=True,
                        help_text="empty = every laboratory of the organization",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="release_rules",
                        to="labs.sendinglaboratory",
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="release_rules",
                        to="accounts.organization",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization", "name", "version"), name="release_rule_version_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                models.Q(("result_class", ""), _negated=True),
                                ("analyte_key", ""),
                                ("loinc", ""),
                            ),
                            models.Q(
                                models.Q(("analyte_key", ""), _negated=True),
                                ("result_class", ""),
                                ("loinc", ""),
                            ),
                            models.Q(
                                models.Q(("loinc", ""), _negated=True),
                                ("result_class", ""),
                                ("analyte_key", ""),
                            ),
                            _connector="OR",
                        ),
                        name="release_rule_about_one_thing",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("amount__lte", 720), ("timing", "elapsed_hours")),
                            models.Q(("amount__lte", 30), ("timing", "local_day")),
                            _connector="OR",
                        ),
                        name="release_rule_thirty_days_at_most",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("name", ""), _negated=True),
                            models.Q(("reason", ""), _negated=True),
                        ),
                        name="release_rule_says_why",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("valid_until__isnull", True),
                            ("valid_from__lt", models.F("valid_until")),
                            _connector="OR",
                        ),
                        name="release_rule_dates",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("approved_at__isnull", True), ("approved_by__isnull", True)),
                            models.Q(
                                ("approved_at__isnull", False),
                                ("approved_by__isnull", False),
                                models.Q(("approved_by", models.F("author")), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="release_rule_approved_by_another",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="TellingWish",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=core.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "result_class",
                    models.CharField(
                        choices=[
                            ("labs", "labs"),
                            ("tumour_markers", "tumour markers"),
                            ("pathology_and_scans", "pathology and scans"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "when",
                    models.CharField(
                        choices=[
                            ("now", "now"),
                            ("in_my_hours", "in_my_hours"),
                            ("after_comment", "after_comment"),
                            ("on_date", "on_date"),
                            ("never", "never"),
                        ],
                        max_length=13,
                    ),
                ),
                ("hours_from", models.TimeField()),
                ("hours_until", models.TimeField()),
                ("on_date", models.DateField(null=True)),
                ("days_after", models.PositiveSmallIntegerField(null=True)),
                ("backstop_days", models.PositiveSmallIntegerField(null=True)),
                ("chosen_at", models.DateTimeField()),
                ("superseded_at", models.DateTimeField(null=True)),
                (
                    "chosen_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "patient",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="telling_wishes",
                        to="patients.patient",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("superseded_at__isnull", True)),
                        fields=("patient", "result_class"),
                        name="telling_wish_current_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("hours_from__lt", models.F("hours_until"))),
                        name="telling_wish_hours",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("backstop_days__isnull", True), ("when", "never")),
                            models.Q(
                                models.Q(("when", "never"), _negated=True),
                                ("backstop_days__gte", 1),
                                ("backstop_days__isnull", False),
                                ("backstop_days__lte", 30),
                            ),
                            _connector="OR",
                        ),
                        name="telling_wish_has_a_backstop",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("when", "on_date"),
                                models.Q(
                                    models.Q(
                                        ("days_after__isnull", True), ("on_date__isnull", False)
                                    ),
                                    models.Q(
                                        ("days_after__isnull", False),
                                        ("days_after__lte", 30),
                                        ("on_date__isnull", True),
                                    ),
                                    _connector="OR",
                                ),
                            ),
                            models.Q(
                                models.Q(("when", "on_date"), _negated=True),
                                ("days_after__isnull", True),
                                ("on_date__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="telling_wish_has_its_day",
                    ),
                ],
            },
        ),
        protect("labs_releaserule", using="app_kind() IN ('staff', 'system')", check=RULE_WRITTEN),
        migrations.RunSQL(
            f"ALTER POLICY reach_delete ON labs_releaserule USING ({RULE_WRITTEN});",
            migrations.RunSQL.noop,
        ),
        protect("labs_releasehold", using=HOLD_SEEN, check=HOLD_WRITTEN),
        protect(
            "labs_tellingwish",
            using="can_see(patient_id, 'labs') AND app_kind() IN ('patient', 'system')",
        ),
        freeze(
            "labs_releasehold",
            may_move=("lifted_at", "lifted_by_id", "lift_reason", "reminded_at"),
            then={"OLD.lifted_at IS NOT NULL": ()},
        ),
        freeze(
            "labs_tellingwish",
            may_move=("superseded_at",),
            then={"OLD.superseded_at IS NOT NULL": ()},
        ),
        # An approved rule can only be ended; a draft may be changed or dropped.
        freeze("labs_releaserule", may_move=("valid_until",), when="OLD.approved_at IS NOT NULL"),
    ]
