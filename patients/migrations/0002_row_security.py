"""Who may see which patient: the functions that every policy calls, and the first policies."""

from django.db import migrations

from accounts.roles import role_reach_sql
from core.row_security import protect, protect_patient_table

CAN_SEE = """
CREATE FUNCTION can_see(patient uuid, area text) RETURNS boolean
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
      SELECT 1 FROM patients_caregivergrant g
      WHERE g.patient_id = patient AND g.caregiver_id = app_user() AND g.revoked_at IS NULL
        AND g.valid_from <= now() AND (g.valid_until IS NULL OR g.valid_until > now())
        AND (area IN ('record', 'notifications') OR EXISTS (
          SELECT 1 FROM unnest(g.scopes) s WHERE split_part(s, '.', 1) = area)));
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

CREATE FUNCTION can_work(area text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
BEGIN
  IF NOT app_may(area) THEN
    RETURN false;
  ELSIF app_kind() IN ('system', 'machine') THEN
    RETURN true;
  END IF;
  RETURN app_kind() = 'staff' AND EXISTS (
    SELECT 1 FROM accounts_membership m
    JOIN accounts_organization o ON o.id = m.organization_id AND o.is_active
    WHERE m.user_id = app_user() AND m.valid_from <= now()
      AND (m.valid_until IS NULL OR m.valid_until > now())
      AND role_reach(m.role, area) <> '');
END $$;

-- Which record a signed-in person means, before any identity exists.
CREATE FUNCTION resolve_reach(who uuid, wanted uuid)
RETURNS TABLE (patient_id uuid, relation text, scopes text[], language text, zone text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT p.id, 'patient', ARRAY[]::text[], p.language::text, p.zone::text
  FROM patients_patient p
  WHERE p.user_id = who AND p.is_active AND p.deceased_at IS NULL
    AND (wanted IS NULL OR p.id = wanted)
  UNION ALL
  SELECT p.id, 'proxy', g.scopes::text[], p.language::text, p.zone::text
  FROM patients_caregivergrant g JOIN patients_patient p ON p.id = g.patient_id
  WHERE wanted IS NOT NULL AND g.patient_id = wanted AND g.caregiver_id = who
    AND g.revoked_at IS NULL AND g.valid_from <= now()
    AND (g.valid_until IS NULL OR g.valid_until > now())
    AND p.is_active AND p.deceased_at IS NULL
  LIMIT 1
$$;

-- The two-identifier rule of result matching: the one patient that number, birth date and
-- family name agree on, and whether somebody else looks like her.
CREATE FUNCTION match_patient(number_authority text, number_value text, family_key text, born date)
RETURNS TABLE (patient_id uuid, name_agrees boolean, birth_date_agrees boolean, look_alike boolean)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT p.id, p.family_name_key = family_key, p.birth_date = born, EXISTS (
    SELECT 1 FROM patients_patient other
    WHERE other.birth_date = p.birth_date AND other.family_name_key = p.family_name_key
      AND other.id <> p.id AND other.is_active)
  FROM patients_patientidentifier i JOIN patients_patient p ON p.id = i.patient_id
  WHERE i.authority = number_authority AND i.value = number_value
    AND i.valid_until IS NULL AND p.is_active
$$;

-- Who may be told something about a patient, and whether anybody may be told at all.
CREATE FUNCTION contact_allowed(patient uuid, at timestamptz) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT CASE
    WHEN p.id IS NULL OR NOT p.is_active THEN 'inactive'
    WHEN p.deceased_at IS NOT NULL THEN 'deceased'
    WHEN EXISTS (SELECT 1 FROM patients_contactpause c WHERE c.patient_id = patient
      AND c.starts_at <= at AND (c.ends_at IS NULL OR c.ends_at > at)) THEN 'paused'
    ELSE '' END
  FROM (SELECT 1) one LEFT JOIN patients_patient p ON p.id = patient
$$;
"""
DROP = """
DROP FUNCTION contact_allowed(uuid, timestamptz); DROP FUNCTION match_patient(text, text, text, date);
DROP FUNCTION resolve_reach(uuid, uuid); DROP FUNCTION can_work(text); DROP FUNCTION can_see(uuid, text);
"""

OWN_PATIENT_ROW = "can_see(id, 'record')"
SYSTEM = "app_kind() = 'system'"


class Migration(migrations.Migration):
    dependencies = [
        ("patients", "0001_initial"),
        ("core", "0002_identity_and_audit"),
        ("accounts", "0001_initial"),
    ]
    operations = [
        migrations.RunSQL(role_reach_sql(), "DROP FUNCTION role_reach(text, text);"),
        migrations.RunSQL(CAN_SEE, DROP),
        protect("patients_patient", using=OWN_PATIENT_ROW),
        protect_patient_table("patients_patientidentifier", area="record"),
        protect_patient_table("patients_profilefact", area="record"),
        protect_patient_table("patients_enrolment", area="record"),
        protect_patient_table("patients_careteammember", area="record"),
        protect_patient_table("patients_caregivergrant", area="record"),
        protect_patient_table("patients_contactpause", area="record"),
        # The core tables that speak of a patient.
        protect("core_change", using="can_see(patient_id, area)"),
        protect(
            "core_idempotencyrecord",
            using="user_id IS NOT DISTINCT FROM app_user() OR app_may('audit') AND " + SYSTEM,
        ),
        protect("core_event", using=SYSTEM, insert="true"),
        protect("core_delivery", using=SYSTEM, insert="true"),
        protect(
            "core_auditevent",
            using="can_work('audit') OR patient_id = app_patient() AND can_see(patient_id, 'record')",
            insert="true",
        ),
    ]
