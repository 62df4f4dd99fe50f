"""Making a month's partition moves the rows that waited for it in the default partition.

PostgreSQL refuses a new partition while the default one holds rows of its range, as it does
for the month in which a system starts.
"""

from django.db import migrations

MOVING = """
CREATE OR REPLACE FUNCTION audit_partition(month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  first date := date_trunc('month', month)::date;
  part text := 'core_auditevent_' || to_char(first, 'YYYY_MM');
  starts timestamptz := first::timestamp AT TIME ZONE 'UTC';
  ends timestamptz := (first + interval '1 month') AT TIME ZONE 'UTC';
BEGIN
  IF to_regclass('public.' || part) IS NOT NULL THEN
    RETURN;
  END IF;
  EXECUTE format('CREATE TABLE public.%I (LIKE public.core_auditevent INCLUDING ALL)', part);
  EXECUTE format(
    'WITH moved AS (DELETE FROM public.core_auditevent_default '
    'WHERE occurred_at >= %L AND occurred_at < %L RETURNING *) '
    'INSERT INTO public.%I SELECT * FROM moved', starts, ends, part);
  EXECUTE format(
    'ALTER TABLE public.core_auditevent ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
    part, starts, ends);
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0002_identity_and_audit")]
    operations = [migrations.RunSQL(MOVING, migrations.RunSQL.noop)]
