"""Places for overbooking, and what staff set aside when they book."""

import django.contrib.postgres.fields
from django.db import migrations, models
from django.db.models import Q

BOOKING_RULES = [
    ("lead-time", "Sooner than usual"),
    ("horizon", "Further ahead than usual"),
    ("overbook", "Overbooked"),
]
LANES = """
CREATE FUNCTION resource_lanes_in_use() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM appointments_resourceclaim c
    WHERE c.resource_id = NEW.id AND c.active AND c.kind <> 'block'
      AND c.lane >= NEW.lanes + NEW.overbook_lanes AND upper(c.during) > now()
      AND (c.expires_at IS NULL OR c.expires_at > now())) THEN
    RAISE EXCEPTION 'somebody is booked in a place that would be gone'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'resource_lanes_in_use';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER resource_lanes_in_use
BEFORE UPDATE OF lanes, overbook_lanes ON appointments_resource
FOR EACH ROW WHEN (NEW.lanes + NEW.overbook_lanes < OLD.lanes + OLD.overbook_lanes)
EXECUTE FUNCTION resource_lanes_in_use();
"""
NO_LANES = """
DROP TRIGGER resource_lanes_in_use ON appointments_resource;
DROP FUNCTION resource_lanes_in_use();
"""


class Migration(migrations.Migration):
    dependencies = [("appointments", "0009_closures")]

    operations = [
        migrations.AddField(
            model_name="appointmenthistory",
            name="override_reason",
            field=models.CharField(blank=True, max_length=160),
        ),
        migrations.AddField(
            model_name="appointmenthistory",
            name="overrides",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(choices=BOOKING_RULES, max_length=12),
                blank=True,
                default=list,
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="resource",
            name="overbook_lanes",
            field=models.PositiveSmallIntegerField(
                default=0,
                help_text="So many visits more at a time, which only nurses and clinicians fill, "
                "each with a reason. Nobody else is ever offered them.",
                verbose_name="places to overbook",
            ),
        ),
        migrations.AddConstraint(
            model_name="appointmenthistory",
            constraint=models.CheckConstraint(
                condition=Q(override_reason="", overrides=[])
                | ~Q(overrides=[]) & ~Q(override_reason=""),
                name="appointment_history_override_has_a_reason",
            ),
        ),
        migrations.AddConstraint(
            model_name="appointmenthistory",
            constraint=models.CheckConstraint(
                condition=Q(overrides__contained_by=[rule for rule, _ in BOOKING_RULES]),
                name="appointment_history_overrides",
            ),
        ),
        migrations.AddConstraint(
            model_name="resource",
            constraint=models.CheckConstraint(
                condition=Q(overbook_lanes__lte=10), name="resource_overbook_lanes"
            ),
        ),
        migrations.RunSQL(LANES, NO_LANES),
    ]
