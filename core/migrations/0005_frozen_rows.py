"""What was decided or written stays so: the trigger function behind `row_security.freeze`."""

from django.db import migrations

FROZEN = """
CREATE FUNCTION row_frozen() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  may_move text[] := TG_ARGV[0]::text[];
BEGIN
  IF TG_OP = 'DELETE' OR to_jsonb(NEW) - may_move <> to_jsonb(OLD) - may_move THEN
    RAISE EXCEPTION 'a row of % is never rewritten', TG_TABLE_NAME
      USING ERRCODE = 'restrict_violation';
  END IF;
  RETURN NEW;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0004_attachments")]
    operations = [migrations.RunSQL(FROZEN, "DROP FUNCTION row_frozen();")]
