"""Who may write the frame of a record, and the list of records a person may act for.

A patient and her caregiver read the frame; staff and the system write it. Grants and pauses are
hers to give, so she writes those too; a caregiver sees her own grant alone and writes none.
"""

from django.db import migrations

WRITERS = "app_kind() IN ('staff', 'system')"
HERS = "app_kind() IN ('patient', 'staff', 'system')"

_POLICIES = """
DROP POLICY reach_insert ON {table};
DROP POLICY reach_update ON {table};
DROP POLICY reach_delete ON {table};
CREATE POLICY reach_insert ON {table} FOR INSERT WITH CHECK ({reach} AND {writers});
CREATE POLICY reach_update ON {table} FOR UPDATE USING ({reach} AND {writers})
  WITH CHECK ({reach} AND {writers});
CREATE POLICY reach_delete ON {table} FOR DELETE USING ({reach} AND app_kind() = 'system');
"""
_BEFORE = """
DROP POLICY reach_insert ON {table};
DROP POLICY reach_update ON {table};
DROP POLICY reach_delete ON {table};
CREATE POLICY reach_insert ON {table} FOR INSERT WITH CHECK ({reach});
CREATE POLICY reach_update ON {table} FOR UPDATE USING ({reach}) WITH CHECK ({reach});
CREATE POLICY reach_delete ON {table} FOR DELETE USING ({reach});
"""

OWN_GRANTS = """
DROP POLICY reach_select ON patients_caregivergrant;
CREATE POLICY reach_select ON patients_caregivergrant FOR SELECT USING (
  can_see(patient_id, 'record') AND (app_kind() <> 'proxy' OR caregiver_id = app_user()));
"""
ALL_GRANTS = """
DROP POLICY reach_select ON patients_caregivergrant;
CREATE POLICY reach_select ON patients_caregivergrant FOR SELECT USING (
  can_see(patient_id, 'record'));
"""

REACHES = """
-- Every record that a signed-in person may open, before any identity exists: her own first.
CREATE FUNCTION reaches_of(who uuid)
RETURNS TABLE (patient_id uuid, relation text, scopes text[], given_name text, family_name text,
  zone text, valid_until timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT p.id, 'patient', ARRAY[]::text[], p.given_name::text, p.family_name::text, p.zone::text,
    NULL::timestamptz
  FROM patients_patient p
  WHERE p.user_id = who AND p.is_active AND p.deceased_at IS NULL
  UNION ALL
  SELECT p.id, 'proxy', g.scopes::text[], p.given_name::text, p.family_name::text, p.zone::text,
    g.valid_until
  FROM patients_caregivergrant g JOIN patients_patient p ON p.id = g.patient_id
  WHERE g.caregiver_id = who AND g.revoked_at IS NULL AND g.valid_from <= now()
    AND (g.valid_until IS NULL OR g.valid_until > now())
    AND p.is_active AND p.deceased_at IS NULL
  ORDER BY 2, 5, 4, 1
$$;

-- How many other active people share birth date and family name: the look-alike warning of the
-- desk, which must count people it may not see.
CREATE FUNCTION look_alikes(family_key text, born date) RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public AS $$
  SELECT count(*)::integer FROM patients_patient p
  WHERE p.birth_date = born AND p.family_name_key = family_key AND p.is_active
$$;
"""
DROP_REACHES = "DROP FUNCTION look_alikes(text, date); DROP FUNCTION reaches_of(uuid);"


def narrow(table: str, *, writers: str, column: str = "patient_id") -> migrations.RunSQL:
    values = {"table": table, "reach": f"can_see({column}, 'record')", "writers": writers}
    return migrations.RunSQL(_POLICIES.format(**values), _BEFORE.format(**values))


class Migration(migrations.Migration):
    dependencies = [("patients", "0002_row_security")]
    operations = [
        narrow("patients_patient", writers=WRITERS, column="id"),
        narrow("patients_patientidentifier", writers=WRITERS),
        narrow("patients_profilefact", writers=WRITERS),
        narrow("patients_enrolment", writers=WRITERS),
        narrow("patients_careteammember", writers=WRITERS),
        narrow("patients_caregivergrant", writers=HERS),
        narrow("patients_contactpause", writers=HERS),
        migrations.RunSQL(OWN_GRANTS, ALL_GRANTS),
        migrations.RunSQL(REACHES, DROP_REACHES),
    ]
