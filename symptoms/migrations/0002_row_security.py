"""Row security of check-ins, and the trigger that keeps published questions as they were."""

from django.db import migrations

from core.row_security import protect_patient_table

GUARD = """
CREATE FUNCTION questionnaire_version_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.status <> 'draft' THEN
      RAISE EXCEPTION 'a published questionnaire version is never deleted'
        USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN OLD;
  END IF;
  IF OLD.status <> 'draft' AND (
    NEW.status = 'draft'
    OR (NEW.questionnaire_id, NEW.version, NEW.title, NEW.content_digest, NEW.published_at)
       IS DISTINCT FROM
       (OLD.questionnaire_id, OLD.version, OLD.title, OLD.content_digest, OLD.published_at)
    OR (OLD.reviewed_by <> '' AND (NEW.reviewed_by, NEW.reviewed_at)
       IS DISTINCT FROM (OLD.reviewed_by, OLD.reviewed_at)))
  THEN
    RAISE EXCEPTION 'a published questionnaire version is never changed'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER questionnaire_version_guard BEFORE UPDATE OR DELETE
  ON symptoms_questionnaireversion FOR EACH ROW EXECUTE FUNCTION questionnaire_version_guard();

CREATE FUNCTION questionnaire_item_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  held uuid := CASE WHEN TG_OP = 'INSERT' THEN NEW.version_id ELSE OLD.version_id END;
BEGIN
  IF EXISTS (SELECT 1 FROM symptoms_questionnaireversion v
             WHERE v.id = held AND v.status <> 'draft') THEN
    RAISE EXCEPTION 'the items of a published questionnaire version are never changed'
      USING ERRCODE = 'integrity_constraint_violation';
  END IF;
  RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE TRIGGER questionnaire_item_guard BEFORE INSERT OR UPDATE OR DELETE
  ON symptoms_questionnaireitem FOR EACH ROW EXECUTE FUNCTION questionnaire_item_guard();
"""
DROP = """
DROP TRIGGER questionnaire_item_guard ON symptoms_questionnaireitem;
DROP TRIGGER questionnaire_version_guard ON symptoms_questionnaireversion;
DROP FUNCTION questionnaire_item_guard(); DROP FUNCTION questionnaire_version_guard();
"""


class Migration(migrations.Migration):
    dependencies = [("symptoms", "0001_initial"), ("patients", "0002_row_security")]
    operations = [
        migrations.RunSQL(GUARD, DROP),
        *(
            protect_patient_table(f"symptoms_{table}", area="symptoms")
            for table in (
                "checkinplan",
                "checkin",
                "questionnaireresponse",
                "answer",
                "composite",
                "symptomalert",
            )
        ),
    ]
