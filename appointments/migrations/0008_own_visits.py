from django.db import migrations

# Volatile: what is counted after the lock is read anew, so bookings at once are all counted.
OWN_VISITS = """
CREATE FUNCTION own_visits(
  her uuid, at_time timestamptz, since timestamptz, cancellations integer,
  OUT open_visits bigint, OUT turning_point timestamptz
) LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('visits:' || her::text, 0));
  SELECT count(*) INTO open_visits FROM appointments_appointment a
  WHERE a.patient_id = her AND a.created_via IN ('patient', 'proxy') AND a.ticket_id IS NULL
    AND a.status IN ('proposed', 'pending', 'booked', 'checked-in') AND a.ends_at > at_time
    AND NOT EXISTS (SELECT 1 FROM appointments_plannedvisit p WHERE p.appointment_id = a.id);
  SELECT h.at INTO turning_point FROM appointments_appointmenthistory h
  WHERE h.patient_id = her AND h.action = 'cancel' AND h.via IN ('patient', 'proxy')
    AND h.at > since
  ORDER BY h.at DESC OFFSET cancellations - 1 LIMIT 1;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("appointments", "0007_orders")]

    operations = [
        migrations.RunSQL(
            OWN_VISITS, "DROP FUNCTION own_visits(uuid, timestamptz, timestamptz, integer);"
        )
    ]
