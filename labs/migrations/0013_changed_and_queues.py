"""What a review waits for is kept with the report; indexes of the queues; changed results."""

from django.conf import settings
from django.db import migrations, models

# Nothing counts as reviewed here that was not reviewed after this: it asks once more.
RANKS = """
UPDATE labs_diagnosticreport r SET awaits_review = r.status <> 'entered-in-error',
  worst_rank = coalesce((
    SELECT max(CASE WHEN o.staff_critical OR o.tier = 'urgent' THEN 3 WHEN o.tier = 'attention' THEN 2
                    WHEN o.tier = 'fine' THEN 0 ELSE 1 END)
    FROM labs_observation o
    WHERE o.patient_id = r.patient_id AND o.report_id = r.id
      AND o.superseded_at IS NULL AND o.withdrawn_at IS NULL), 1)
"""


class Migration(migrations.Migration):
    dependencies = [
        ("labs", "0012_specimen"),
        ("patients", "0005_profile_evidence"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ChangedResult",
            fields=[],
            options={
                "verbose_name": "changed result",
                "proxy": True,
                "indexes": [],
                "constraints": [],
            },
            bases=("labs.observation",),
        ),
        migrations.AddField(
            model_name="diagnosticreport",
            name="awaits_review",
            field=models.BooleanField(default=True),
        ),
        migrations.AddField(
            model_name="diagnosticreport",
            name="worst_rank",
            field=models.SmallIntegerField(default=1),
        ),
        migrations.RunSQL(RANKS, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="diagnosticreport",
            index=models.Index(
                condition=models.Q(("awaits_review", True)),
                fields=["-worst_rank", "effective_at", "id"],
                include=("patient",),
                name="report_unreviewed",
            ),
        ),
        migrations.AddIndex(
            model_name="diagnosticreport",
            index=models.Index(
                fields=["-effective_at", "-id"], include=("patient",), name="report_newest"
            ),
        ),
        migrations.AddIndex(
            model_name="observation",
            index=models.Index(
                condition=models.Q(
                    ("is_stale", False),
                    ("superseded_at__isnull", False),
                    models.Q(
                        models.Q(("status__in", ["registered", "preliminary"]), _negated=True),
                        ("withdrawn_at__isnull", False),
                        _connector="OR",
                    ),
                ),
                fields=["-superseded_at", "-id"],
                include=("patient",),
                name="observation_changed",
            ),
        ),
        migrations.AddIndex(
            model_name="observation",
            index=models.Index(
                condition=models.Q(("superseded_at__isnull", True)),
                fields=["-effective_at", "-id"],
                include=("patient",),
                name="observation_newest",
            ),
        ),
        migrations.AddIndex(
            model_name="observation",
            index=models.Index(
                condition=models.Q(("discrepancy", True), ("superseded_at__isnull", True)),
                fields=["-effective_at", "-id"],
                include=("patient",),
                name="observation_disagrees",
            ),
        ),
    ]
