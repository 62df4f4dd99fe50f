"""Reviews, comments and their templates, and why a calcium was not corrected."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import core.ids
from core.row_security import freeze, protect

NOT_HERSELF = "app_kind() NOT IN ('patient', 'proxy')"
STAFF_WRITE = f"can_see(patient_id, 'labs') AND {NOT_HERSELF}"
REPORT_SHOWN = "EXISTS (SELECT 1 FROM labs_diagnosticreport r WHERE r.id = {table}.report_id)"
# The policies of labs_observation hold inside these, too: what is held is not there.
EVERY_RESULT_SHOWN = """NOT EXISTS (
  SELECT 1 FROM jsonb_object_keys(seen) k WHERE NOT EXISTS (
    SELECT 1 FROM labs_observation o
    WHERE o.patient_id = labs_comment.patient_id AND o.report_id = labs_comment.report_id
      AND o.identity_key = k AND o.superseded_at IS NULL))"""
EVERY_INPUT_SHOWN = """NOT EXISTS (
  SELECT 1 FROM unnest(inputs) i WHERE NOT EXISTS (
    SELECT 1 FROM labs_observation o
    WHERE o.patient_id = labs_derivedobstacle.patient_id
      AND o.id = i AND o.superseded_at IS NULL))"""
OWN_CLINIC = """app_kind() = 'system' OR app_kind() = 'staff' AND can_work('labs') AND EXISTS (
  SELECT 1 FROM accounts_membership m
  WHERE m.organization_id = labs_commenttemplate.organization_id AND m.user_id = app_user()
    AND m.valid_from <= now() AND (m.valid_until IS NULL OR m.valid_until > now()))"""


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_oauthclient"),
        ("labs", "0007_documents"),
        ("patients", "0003_writers_and_reaches"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Comment",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=core.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("identity_key", models.CharField(blank=True, max_length=64)),
                ("seen", models.JSONField(default=dict)),
                (
                    "author_role",
                    models.CharField(
                        choices=[("clinician", "Clinician"), ("nurse", "Nurse")], max_length=16
                    ),
                ),
                ("language", models.CharField(max_length=8)),
                ("text", models.TextField()),
                ("published_at", models.DateTimeField()),
                (
                    "reason",
                    models.CharField(
                        blank=True, help_text="why it replaces the other", max_length=300
                    ),
                ),
                ("superseded_at", models.DateTimeField(blank=True, null=True)),
                ("withdrawn_at", models.DateTimeField(blank=True, null=True)),
                ("withdrawal_reason", models.CharField(blank=True, max_length=300)),
                (
                    "author",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
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
                    "replaces",
                    models.OneToOneField(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="replaced_by",
                        to="labs.comment",
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
                (
                    "withdrawn_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        fields=["patient", "report", "published_at"], name="comment_of_report"
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("text", ""), _negated=True),
                        name="comment_says_something",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("author_role__in", ["clinician", "nurse"])),
                        name="comment_by_a_role",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("reason", ""), ("replaces__isnull", True)),
                            models.Q(
                                ("replaces__isnull", False), models.Q(("reason", ""), _negated=True)
                            ),
                            _connector="OR",
                        ),
                        name="comment_replaces_with_reason",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("withdrawal_reason", ""),
                                ("withdrawn_at__isnull", True),
                                ("withdrawn_by__isnull", True),
                            ),
                            models.Q(
                                ("withdrawn_at__isnull", False),
                                ("withdrawn_by__isnull", False),
                                models.Q(("withdrawal_reason", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="comment_withdrawn_with_reason",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("superseded_at__isnull", True),
                            ("withdrawn_at__isnull", True),
                            _connector="OR",
                        ),
                        name="comment_superseded_or_withdrawn",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="CommentTemplate",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=core.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("key", models.SlugField(max_length=40)),
                ("language", models.CharField(default="en", max_length=8)),
                ("version", models.PositiveIntegerField(default=1)),
                ("title", models.CharField(max_length=120)),
                ("text", models.TextField(max_length=2000)),
                ("written_at", models.DateTimeField()),
                ("is_active", models.BooleanField(default=False)),
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
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="accounts.organization",
                    ),
                ),
                (
                    "written_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization", "key", "language", "version"),
                        name="comment_template_version_once",
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("is_active", True)),
                        fields=("organization", "key", "language"),
                        name="comment_template_one_active",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("approved_at__isnull", True), ("approved_by__isnull", True)),
                            models.Q(
                                ("approved_at__isnull", False), ("approved_by__isnull", False)
                            ),
                            _connector="OR",
                        ),
                        name="comment_template_approved_by_somebody",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("approved_by__isnull", True),
                            models.Q(("approved_by", models.F("written_by")), _negated=True),
                            _connector="OR",
                        ),
                        name="comment_template_approved_by_another",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("is_active", False), ("approved_at__isnull", False), _connector="OR"
                        ),
                        name="comment_template_active_once_approved",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("title", ""), _negated=True),
                            models.Q(("text", ""), _negated=True),
                        ),
                        name="comment_template_complete",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="DerivedObstacle",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=core.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("method", models.CharField(max_length=60)),
                (
                    "obstacles",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=40), size=None
                    ),
                ),
                (
                    "inputs",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.UUIDField(), size=None
                    ),
                ),
                ("found_at", models.DateTimeField()),
                ("superseded_at", models.DateTimeField(null=True)),
                (
                    "calcium",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
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
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("superseded_at__isnull", True)),
                        fields=("patient", "calcium"),
                        name="derived_obstacle_current_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("obstacles", []), _negated=True),
                            models.Q(("inputs", []), _negated=True),
                        ),
                        name="derived_obstacle_says_why",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Review",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=core.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("report_version", models.PositiveIntegerField()),
                ("seen", models.JSONField(default=dict)),
                ("seen_digest", models.CharField(max_length=64)),
                (
                    "reviewer_role",
                    models.CharField(
                        choices=[("clinician", "Clinician"), ("nurse", "Nurse")], max_length=16
                    ),
                ),
                ("reviewed_at", models.DateTimeField()),
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
                (
                    "reviewer",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        fields=["patient", "report", "-reviewed_at"], name="review_of_report"
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("patient", "report", "report_version", "seen_digest", "reviewer"),
                        name="review_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("reviewer_role__in", ["clinician", "nurse"])),
                        name="review_by_a_role",
                    ),
                ],
            },
        ),
        protect(
            "labs_review",
            using=(
                f"can_see(patient_id, 'labs') AND ({NOT_HERSELF} OR "
                f"{REPORT_SHOWN.format(table='labs_review')})"
            ),
            check=STAFF_WRITE,
        ),
        protect(
            "labs_comment",
            using=(
                f"can_see(patient_id, 'labs') AND ({NOT_HERSELF} OR superseded_at IS NULL "
                "AND withdrawn_at IS NULL AND published_at <= now() AND "
                f"{REPORT_SHOWN.format(table='labs_comment')} AND {EVERY_RESULT_SHOWN})"
            ),
            check=STAFF_WRITE,
        ),
        protect("labs_commenttemplate", using=OWN_CLINIC),
        protect(
            "labs_derivedobstacle",
            using=f"can_see(patient_id, 'labs') AND ({NOT_HERSELF} OR {EVERY_INPUT_SHOWN})",
            check=STAFF_WRITE,
        ),
        # What was written may only be replaced or withdrawn, and once.
        freeze(
            "labs_comment",
            may_move=("superseded_at", "withdrawn_at", "withdrawn_by_id", "withdrawal_reason"),
            then={"OLD.superseded_at IS NOT NULL OR OLD.withdrawn_at IS NOT NULL": ()},
        ),
        freeze(
            "labs_derivedobstacle",
            may_move=("superseded_at",),
        ),
    ]
