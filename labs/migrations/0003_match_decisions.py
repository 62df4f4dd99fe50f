"""Why a matching decision was made and revoked; what was decided is never rewritten."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

from core.row_security import freeze

# A decision moves twice at most: confirmed, revoked. Everything else stays as it was decided.
CONFIRMATION = ("confirmed_by_id", "confirmed_at")
REVOCATION = ("revoked_by_id", "revoked_at", "revocation_reason")
NOT_RECORDED = "made before reasons were recorded"
EARLIER = f"""
UPDATE labs_matchdecision SET revocation_reason = '{NOT_RECORDED}' WHERE revoked_at IS NOT NULL
"""


class Migration(migrations.Migration):
    dependencies = [("labs", "0002_row_security"), ("core", "0005_frozen_rows")]
    operations = [
        migrations.AddField(
            model_name="matchdecision",
            name="message",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="labs.inboundmessage",
            ),
        ),
        migrations.AddField(
            model_name="matchdecision",
            name="reason",
            field=models.CharField(default=NOT_RECORDED, max_length=300),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="matchdecision",
            name="revocation_reason",
            field=models.CharField(blank=True, default="", max_length=300),
            preserve_default=False,
        ),
        migrations.RunSQL(EARLIER, migrations.RunSQL.noop),
        migrations.RemoveConstraint(
            model_name="matchdecision", name="match_decision_revoked_by_somebody"
        ),
        migrations.AddConstraint(
            model_name="matchdecision",
            constraint=models.CheckConstraint(
                condition=Q(revoked_by__isnull=True, revoked_at__isnull=True, revocation_reason="")
                | (
                    Q(revoked_by__isnull=False, revoked_at__isnull=False) & ~Q(revocation_reason="")
                ),
                name="match_decision_revoked_by_somebody",
            ),
        ),
        migrations.AddConstraint(
            model_name="matchdecision",
            constraint=models.CheckConstraint(
                condition=~Q(reason=""), name="match_decision_says_why"
            ),
        ),
        freeze(
            "labs_matchdecision",
            may_move=(*CONFIRMATION, *REVOCATION),
            then={"OLD.confirmed_at IS NOT NULL": REVOCATION, "OLD.revoked_at IS NOT NULL": ()},
        ),
    ]
