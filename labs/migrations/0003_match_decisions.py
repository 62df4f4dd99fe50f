"""Why a matching decision was made and revoked; what was decided is never rewritten."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

# A decision moves twice at most: confirmed, revoked. Everything else stays as it was decided.
FROZEN = """
CREATE FUNCTION labs_matchdecision_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  confirmation text[] := ARRAY['confirmed_by_id', 'confirmed_at'];
  revocation text[] := ARRAY['revoked_by_id', 'revoked_at', 'revocation_reason'];
  may_move text[] := '{}';
BEGIN
  IF TG_OP = 'DELETE' OR OLD.revoked_at IS NOT NULL THEN
    RAISE EXCEPTION 'a matching decision is never deleted, a revoked one never changed'
      USING ERRCODE = 'restrict_violation';
  END IF;
  may_move := revocation;
  IF OLD.confirmed_at IS NULL THEN
    may_move := may_move || confirmation;
  END IF;
  IF to_jsonb(NEW) - may_move <> to_jsonb(OLD) - may_move THEN
    RAISE EXCEPTION 'what was decided about a match is never rewritten'
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER matchdecision_frozen BEFORE UPDATE OR DELETE ON labs_matchdecision
  FOR EACH ROW EXECUTE FUNCTION labs_matchdecision_frozen();
"""
THAW = """
DROP TRIGGER matchdecision_frozen ON labs_matchdecision;
DROP FUNCTION labs_matchdecision_frozen();
"""
NOT_RECORDED = "made before reasons were recorded"
EARLIER = f"""
UPDATE labs_matchdecision SET revocation_reason = '{NOT_RECORDED}' WHERE revoked_at IS NOT NULL
"""


class Migration(migrations.Migration):
    dependencies = [("labs", "0002_row_security")]
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
        migrations.RunSQL(FROZEN, THAW),
    ]
