"""Row security of the laboratory tables, and results that nobody can rewrite."""

from django.db import migrations

from core.row_security import protect, protect_children, protect_patient_table

SETTINGS = (
    "labs_sendinglaboratory",
    "labs_sendername",
    "labs_codemap",
    "labs_configuredrange",
)
# A laboratory's own client reaches its own messages only.
OWN_MESSAGES = (
    "can_work('intake') AND (app_kind() <> 'machine' OR laboratory_id IN "
    "(SELECT l.id FROM labs_sendinglaboratory l WHERE l.key = app_sender()))"
)
NOT_HERSELF = "app_kind() NOT IN ('patient', 'proxy')"
RELEASED = "visible_from IS NOT NULL AND visible_from <= now()"

# A version is what it was filed as; only its place in the chain and its release may move.
FROZEN = """
CREATE FUNCTION labs_observation_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  may_move text[] := ARRAY['superseded_at', 'withdrawn_at', 'visible_from', 'release_basis',
    'release_rule_version', 'released_by_id', 'announced_at'];
BEGIN
  IF TG_OP = 'DELETE' OR to_jsonb(NEW) - may_move <> to_jsonb(OLD) - may_move THEN
    RAISE EXCEPTION 'a result version is never changed or deleted'
      USING ERRCODE = 'restrict_violation';
  END IF;
  IF (OLD.superseded_at IS NOT NULL AND NEW.superseded_at IS DISTINCT FROM OLD.superseded_at)
    OR (OLD.withdrawn_at IS NOT NULL AND NEW.withdrawn_at IS DISTINCT FROM OLD.withdrawn_at) THEN
    RAISE EXCEPTION 'a superseded or withdrawn version stays so'
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER observation_frozen BEFORE UPDATE OR DELETE ON labs_observation
  FOR EACH ROW EXECUTE FUNCTION labs_observation_frozen();
"""
THAW = """
DROP TRIGGER observation_frozen ON labs_observation;
DROP FUNCTION labs_observation_frozen();
"""


def settings_table(table: str) -> list[migrations.RunSQL]:
    """Everybody with an identity reads a laboratory's settings; intake staff change them."""
    who = "can_work('intake') OR app_kind() = 'system'"
    return [
        protect(table, using="app_kind() <> ''", check=who),
        migrations.RunSQL(
            f"ALTER POLICY reach_delete ON {table} USING ({who});", migrations.RunSQL.noop
        ),
    ]


class Migration(migrations.Migration):
    dependencies = [("labs", "0001_initial"), ("patients", "0002_row_security")]
    operations = [
        *(operation for table in SETTINGS for operation in settings_table(table)),
        protect("labs_matchdecision", using="can_work('intake')"),
        protect("labs_inboundmessage", using=OWN_MESSAGES),
        protect_children("labs_unfiledmessage", parent="labs_inboundmessage", key="message_id"),
        protect_children("labs_filing", parent="labs_inboundmessage", key="message_id"),
        protect_children("labs_intakeitem", parent="labs_inboundmessage", key="message_id"),
        protect(
            "labs_diagnosticreport",
            using=f"can_see(patient_id, 'labs') AND ({NOT_HERSELF} OR {RELEASED})",
            check=f"can_see(patient_id, 'labs') AND {NOT_HERSELF}",
        ),
        protect(
            "labs_observation",
            using=(
                f"can_see(patient_id, 'labs') AND ({NOT_HERSELF} OR {RELEASED} "
                "AND withdrawn_at IS NULL AND state NOT IN ('HELD', 'RETRACTED'))"
            ),
            check=f"can_see(patient_id, 'labs') AND ({NOT_HERSELF} OR origin = 'patient')",
        ),
        protect_patient_table(
            "labs_reportversion",
            area="labs",
            visible=(
                f"{NOT_HERSELF} OR EXISTS "
                "(SELECT 1 FROM labs_diagnosticreport r WHERE r.id = labs_reportversion.report_id)"
            ),
        ),
        migrations.RunSQL(FROZEN, THAW),
    ]
