"""Functions that read the identity of the transaction, extensions, and the audit table.

The audit table is partitioned by month: rows are many, are read by time, and whole months
leave together when retention ends.
"""

from django.contrib.postgres.operations import (
    BtreeGistExtension,
    TrigramExtension,
    UnaccentExtension,
)
from django.db import migrations

FUNCTIONS = """
CREATE FUNCTION app_kind() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT coalesce(current_setting('app.kind', true), '') $$;
CREATE FUNCTION app_user() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT nullif(current_setting('app.user', true), '')::uuid $$;
CREATE FUNCTION app_patient() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT nullif(current_setting('app.patient', true), '')::uuid $$;
CREATE FUNCTION app_sender() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT coalesce(current_setting('app.sender', true), '') $$;
CREATE FUNCTION app_may(area text) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT area = ANY (string_to_array(coalesce(current_setting('app.areas', true), ''), ',')) $$;
"""
DROP_FUNCTIONS = """
DROP FUNCTION app_may(text); DROP FUNCTION app_sender(); DROP FUNCTION app_patient();
DROP FUNCTION app_user(); DROP FUNCTION app_kind();
"""

AUDIT = """
DROP TABLE core_auditevent;
CREATE TABLE core_auditevent (
  id uuid NOT NULL,
  occurred_at timestamptz NOT NULL,
  action varchar(1) NOT NULL,
  operation varchar(80) NOT NULL,
  outcome varchar(8) NOT NULL,
  actor_kind varchar(8) NOT NULL,
  actor_id uuid,
  client_id varchar(100) NOT NULL,
  patient_id uuid,
  area varchar(16) NOT NULL,
  resource varchar(60) NOT NULL,
  resource_ids uuid[] NOT NULL,
  fields varchar(60)[] NOT NULL,
  purpose varchar(40) NOT NULL,
  reason_code varchar(60) NOT NULL,
  request_id varchar(64) NOT NULL,
  PRIMARY KEY (id, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE INDEX audit_patient_time ON core_auditevent (patient_id, occurred_at DESC);
CREATE INDEX audit_time ON core_auditevent (occurred_at);
CREATE TABLE core_auditevent_default PARTITION OF core_auditevent DEFAULT;

CREATE FUNCTION audit_partition(month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  first date := date_trunc('month', month)::date;
  part text := 'core_auditevent_' || to_char(first, 'YYYY_MM');
BEGIN
  IF to_regclass('public.' || part) IS NULL THEN
    EXECUTE format(
      'CREATE TABLE public.%I PARTITION OF public.core_auditevent FOR VALUES FROM (%L) TO (%L)',
      part, first::timestamp AT TIME ZONE 'UTC', (first + interval '1 month') AT TIME ZONE 'UTC');
  END IF;
END $$;
REVOKE ALL ON FUNCTION audit_partition(date) FROM PUBLIC;
"""


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]
    operations = [
        BtreeGistExtension(),
        TrigramExtension(),
        UnaccentExtension(),
        migrations.RunSQL(FUNCTIONS, DROP_FUNCTIONS),
        migrations.RunSQL(AUDIT, migrations.RunSQL.noop),
    ]
