"""A grant may rest on guardianship; what it then gives follows the patient's age, at access."""

import django.contrib.postgres.fields
from django.db import migrations, models

import core.ids

BANDS = """
INSERT INTO patients_ageband (id, from_years, guardian_areas) VALUES
  ('00000000-0000-7000-8000-000000000000', 0, '{*}'),
  ('00000000-0000-7000-8000-000000000012', 12, '{appointments,billing,education}'),
  ('00000000-0000-7000-8000-000000000013', 13, '{appointments,billing,education}'),
  ('00000000-0000-7000-8000-000000000018', 18, '{}');
"""

# Plain timestamps: a difference of days must not depend on the session's own zone.
ALLOWED = """
CREATE FUNCTION age_in_years(born date, zone text, at timestamptz) RETURNS integer
LANGUAGE sql STABLE SET search_path = pg_catalog, public AS $$
  SELECT date_part('year', age((at AT TIME ZONE zone)::date::timestamp, born::timestamp))::integer
$$;

-- What a grant gives at an instant: all of it, or what the age band leaves to a guardian.
CREATE FUNCTION allowed_scopes(basis text, scopes text[], born date, zone text, at timestamptz)
RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT CASE WHEN basis <> 'guardian' THEN scopes ELSE ARRAY(
    SELECT s FROM unnest(scopes) s, (
      SELECT b.guardian_areas FROM patients_ageband b
      WHERE b.from_years <= age_in_years(born, zone, at)
      ORDER BY b.from_years DESC LIMIT 1) band
    WHERE '*' = ANY(band.guardian_areas) OR split_part(s, '.', 1) = ANY(band.guardian_areas)
    ORDER BY s) END
$$;

CREATE OR REPLACE FUNCTION can_see(patient uuid, area text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
DECLARE
  kind text := app_kind();
BEGIN
  IF kind = '' OR NOT app_may(area) THEN
    RETURN false;
  ELSIF kind = 'system' THEN
    RETURN true;
  ELSIF kind = 'patient' THEN
    RETURN patient = app_patient() AND EXISTS (
      SELECT 1 FROM patients_patient p
      WHERE p.id = patient AND p.user_id = app_user() AND p.is_active);
  ELSIF kind = 'proxy' THEN
    RETURN patient = app_patient() AND EXISTS (
      SELECT 1 FROM patients_caregivergrant g JOIN patients_patient p ON p.id = g.patient_id,
        allowed_scopes(g.basis, g.scopes::text[], p.birth_date, p.zone, now()) allowed
      WHERE g.patient_id = patient AND g.caregiver_id = app_user() AND g.revoked_at IS NULL
        AND g.valid_from <= now() AND (g.valid_until IS NULL OR g.valid_until > now())
        AND cardinality(allowed) > 0
        AND (area IN ('record', 'notifications') OR EXISTS (
          SELECT 1 FROM unnest(allowed) s WHERE split_part(s, '.', 1) = area)));
  ELSIF kind = 'staff' THEN
    RETURN EXISTS (
      SELECT 1 FROM accounts_membership m
      JOIN accounts_organization o ON o.id = m.organization_id AND o.is_active
      JOIN patients_enrolment e ON e.organization_id = m.organization_id
       AND e.patient_id = patient AND e.starts_at <= now()
       AND (e.ends_at IS NULL OR e.ends_at > now())
      WHERE m.user_id = app_user() AND m.valid_from <= now()
        AND (m.valid_until IS NULL OR m.valid_until > now())
        AND (role_reach(m.role, area) = 'enrolled'
          OR (role_reach(m.role, area) = 'care_team' AND EXISTS (
            SELECT 1 FROM patients_careteammember c
            WHERE c.patient_id = patient AND c.user_id = m.user_id AND c.valid_from <= now()
              AND (c.valid_until IS NULL OR c.valid_until > now())))));
  END IF;
  RETURN false;
END $$;

CREATE OR REPLACE FUNCTION resolve_reach(who uuid, wanted uuid)
RETURNS TABLE (patient_id uuid, relation text, scopes text[], language text, zone text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT p.id, 'patient', ARRAY[]::text[], p.language::text, p.zone::text
  FROM patients_patient p
  WHERE p.user_id = who AND p.is_active AND p.deceased_at IS NULL
    AND (wanted IS NULL OR p.id = wanted)
  UNION ALL
  SELECT p.id, 'proxy', allowed, p.language::text, p.zone::text
  FROM patients_caregivergrant g JOIN patients_patient p ON p.id = g.patient_id,
    allowed_scopes(g.basis, g.scopes::text[], p.birth_date, p.zone, now()) allowed
  WHERE wanted IS NOT NULL AND g.patient_id = wanted AND g.caregiver_id = who
    AND g.revoked_at IS NULL AND g.valid_from <= now()
    AND (g.valid_until IS NULL OR g.valid_until > now())
    AND cardinality(allowed) > 0
    AND p.is_active AND p.deceased_at IS NULL
  LIMIT 1
$$;

CREATE OR REPLACE FUNCTION reaches_of(who uuid)
RETURNS TABLE (patient_id uuid, relation text, scopes text[], given_name text, family_name text,
  zone text, valid_until timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT p.id, 'patient', ARRAY[]::text[], p.given_name::text, p.family_name::text, p.zone::text,
    NULL::timestamptz
  FROM patients_patient p
  WHERE p.user_id = who AND p.is_active AND p.deceased_at IS NULL
  UNION ALL
  SELECT p.id, 'proxy', allowed, p.given_name::text, p.family_name::text, p.zone::text,
    g.valid_until
  FROM patients_caregivergrant g JOIN patients_patient p ON p.id = g.patient_id,
    allowed_scopes(g.basis, g.scopes::text[], p.birth_date, p.zone, now()) allowed
  WHERE g.caregiver_id = who AND g.revoked_at IS NULL AND g.valid_from <= now()
    AND (g.valid_until IS NULL OR g.valid_until > now())
    AND cardinality(allowed) > 0
    AND p.is_active AND p.deceased_at IS NULL
  ORDER BY 2, 5, 4, 1
$$;
"""

# A minor's mail must not end up with her guardian: checked wherever one of the two changes.
MAILBOXES = """
CREATE FUNCTION mailbox(address text) RETURNS text
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, public AS $$
  SELECT regexp_replace(lower(btrim(address)), '^([^+@]*)[+][^@]*@', '\\1@')
$$;

CREATE FUNCTION guardian_mailbox_apart() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM patients_caregivergrant g
    JOIN patients_patient p ON p.id = g.patient_id
    JOIN accounts_user minor ON minor.id = p.user_id
    JOIN accounts_user guardian ON guardian.id = g.caregiver_id
    WHERE g.basis = 'guardian' AND g.revoked_at IS NULL
      AND age_in_years(p.birth_date, p.zone, now()) < 18
      AND mailbox(minor.email) = mailbox(guardian.email)
      AND CASE TG_TABLE_NAME
        WHEN 'accounts_user' THEN NEW.id IN (minor.id, guardian.id)
        WHEN 'patients_patient' THEN NEW.id = p.id
        ELSE NEW.id = g.id END) THEN
    RAISE EXCEPTION 'a minor and her guardian share a mailbox'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'guardian_mailbox_apart';
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER guardian_mailbox_apart AFTER INSERT OR UPDATE ON patients_caregivergrant
  FOR EACH ROW WHEN (NEW.basis = 'guardian') EXECUTE FUNCTION guardian_mailbox_apart();
CREATE TRIGGER guardian_mailbox_apart AFTER UPDATE OF email ON accounts_user
  FOR EACH ROW WHEN (NEW.email <> OLD.email) EXECUTE FUNCTION guardian_mailbox_apart();
CREATE TRIGGER guardian_mailbox_apart AFTER UPDATE OF user_id, birth_date, zone
  ON patients_patient FOR EACH ROW EXECUTE FUNCTION guardian_mailbox_apart();
"""
WITHOUT_MAILBOXES = """
DROP TRIGGER guardian_mailbox_apart ON patients_patient;
DROP TRIGGER guardian_mailbox_apart ON accounts_user;
DROP TRIGGER guardian_mailbox_apart ON patients_caregivergrant;
DROP FUNCTION guardian_mailbox_apart(); DROP FUNCTION mailbox(text);
"""
# The functions below it stay as they are: they ask this one, which then knows no age.
WITHOUT_AGES = """
CREATE OR REPLACE FUNCTION allowed_scopes(
  basis text, scopes text[], born date, zone text, at timestamptz) RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT CASE WHEN basis = 'guardian' THEN ARRAY[]::text[] ELSE scopes END
$$;
"""


class Migration(migrations.Migration):
    dependencies = [("patients", "0005_profile_evidence"), ("accounts", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="AgeBand",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=core.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("from_years", models.PositiveSmallIntegerField(unique=True)),
                (
                    "guardian_areas",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=16),
                        blank=True,
                        default=list,
                        size=None,
                    ),
                ),
            ],
            options={
                "verbose_name": "age band",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("from_years__lt", 18), ("guardian_areas", []), _connector="OR"
                        ),
                        name="age_band_adults_have_no_guardian",
                    )
                ],
            },
        ),
        migrations.AddField(
            model_name="caregivergrant",
            name="basis",
            field=models.CharField(
                choices=[("invited", "Invited by her"), ("guardian", "Guardian of a minor")],
                default="invited",
                max_length=8,
            ),
        ),
        migrations.AddConstraint(
            model_name="caregivergrant",
            constraint=models.CheckConstraint(
                condition=models.Q(("basis__in", ["invited", "guardian"])), name="grant_basis_known"
            ),
        ),
        migrations.RunSQL(BANDS, migrations.RunSQL.noop),
        migrations.RunSQL(ALLOWED, WITHOUT_AGES),
        migrations.RunSQL(MAILBOXES, WITHOUT_MAILBOXES),
    ]
