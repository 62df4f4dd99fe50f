"""Row security of visits, and the one function that ends expired holds of anybody."""

from django.db import migrations

from core.row_security import protect_patient_table

# Which time is taken is no secret and names nobody, so every reader sees every claim; a
# filter here would also keep the planner from using the range index. Who may add or end one:
# staff and background work for appointments, and a patient or caregiver for her own visits.
CLAIMS = """
ALTER TABLE appointments_resourceclaim ENABLE ROW LEVEL SECURITY;
ALTER TABLE appointments_resourceclaim FORCE ROW LEVEL SECURITY;
CREATE POLICY owner_all ON appointments_resourceclaim TO CURRENT_USER
  USING (true) WITH CHECK (true);
CREATE POLICY everybody_select ON appointments_resourceclaim FOR SELECT USING (true);
CREATE POLICY reach_insert ON appointments_resourceclaim FOR INSERT WITH CHECK (
  can_work('appointments')
  OR (kind <> 'block' AND can_see(app_patient(), 'appointments')));
CREATE POLICY reach_update ON appointments_resourceclaim FOR UPDATE USING (
  (app_kind() = 'system' AND app_may('appointments'))
  OR (kind = 'block' AND can_work('appointments'))
  OR EXISTS (SELECT 1 FROM appointments_appointment a WHERE a.id = held_for));

-- A hold that has expired is nobody's. Whoever claims the time ends it, without being able to
-- touch anything else of its holder.
CREATE FUNCTION end_expired_holds(wanted uuid[], span tstzrange, at timestamptz)
RETURNS integer LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, public AS $$
DECLARE
  ended integer;
BEGIN
  UPDATE appointments_resourceclaim SET active = false, ended_at = at
  WHERE id IN (
    SELECT id FROM appointments_resourceclaim
    WHERE resource_id = ANY (wanted) AND active AND kind = 'hold' AND expires_at <= at
      AND during && span
    ORDER BY resource_id, lane, during FOR UPDATE);
  GET DIAGNOSTICS ended = ROW_COUNT;
  RETURN ended;
END $$;
"""
DROP_CLAIMS = """
DROP FUNCTION end_expired_holds(uuid[], tstzrange, timestamptz);
DROP POLICY reach_update ON appointments_resourceclaim;
DROP POLICY reach_insert ON appointments_resourceclaim;
DROP POLICY everybody_select ON appointments_resourceclaim;
DROP POLICY owner_all ON appointments_resourceclaim;
ALTER TABLE appointments_resourceclaim NO FORCE ROW LEVEL SECURITY;
ALTER TABLE appointments_resourceclaim DISABLE ROW LEVEL SECURITY;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("appointments", "0001_initial"),
        ("patients", "0002_row_security"),
    ]
    operations = [
        protect_patient_table("appointments_appointment", area="appointments"),
        protect_patient_table("appointments_appointmenthistory", area="appointments"),
        protect_patient_table("appointments_patientclaim", area="appointments"),
        migrations.RunSQL(CLAIMS, DROP_CLAIMS),
    ]
