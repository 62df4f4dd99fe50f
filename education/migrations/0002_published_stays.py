"""What was published stays as it was, and links point to sections that exist."""

from django.db import migrations

PARTS = ("section", "articlelink", "symptomlink", "redflaglink", "citation")

FROZEN = """
CREATE FUNCTION education_version_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  expected education_articleversion;
BEGIN
  IF OLD.state NOT IN ('published', 'retired') THEN
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
  END IF;
  IF TG_OP = 'UPDATE' AND OLD.state = 'published' AND NEW.state = 'retired' THEN
    -- Retiring is the one step left; everything else must be as it was.
    expected := OLD;
    expected.state := NEW.state;
    expected.retired_at := NEW.retired_at;
    IF expected IS NOT DISTINCT FROM NEW THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION 'a published version does not change' USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER version_frozen BEFORE UPDATE OR DELETE ON education_articleversion
  FOR EACH ROW EXECUTE FUNCTION education_version_frozen();

CREATE FUNCTION education_part_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM education_articleversion v
    WHERE v.state IN ('published', 'retired')
      AND (TG_OP <> 'INSERT' AND v.id = OLD.version_id
           OR TG_OP <> 'DELETE' AND v.id = NEW.version_id)
  ) THEN
    RAISE EXCEPTION 'a published version does not change' USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$;
"""
UNFROZEN = """
DROP TRIGGER version_frozen ON education_articleversion;
DROP FUNCTION education_version_frozen();
DROP FUNCTION education_part_frozen();
"""
PART_FROZEN = """
CREATE TRIGGER part_frozen BEFORE INSERT OR UPDATE OR DELETE ON education_{part}
  FOR EACH ROW EXECUTE FUNCTION education_part_frozen();
"""
POINTS_TO_A_SECTION = """
ALTER TABLE education_{part} ADD CONSTRAINT {part}_points_to_a_section
  FOREIGN KEY (version_id, anchor) REFERENCES education_section (version_id, anchor)
  DEFERRABLE INITIALLY DEFERRED;
"""


class Migration(migrations.Migration):
    dependencies = [("education", "0001_initial")]
    operations = [
        migrations.RunSQL(FROZEN, UNFROZEN),
        *(
            migrations.RunSQL(
                PART_FROZEN.format(part=part), f"DROP TRIGGER part_frozen ON education_{part};"
            )
            for part in PARTS
        ),
        *(
            migrations.RunSQL(
                POINTS_TO_A_SECTION.format(part=part),
                f"ALTER TABLE education_{part} DROP CONSTRAINT {part}_points_to_a_section;",
            )
            for part in ("articlelink", "symptomlink", "redflaglink")
        ),
    ]
