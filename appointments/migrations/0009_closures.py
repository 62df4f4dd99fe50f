"""Closing a site: the table, what keeps visits out of it, and how urgent a ticket is."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import core.ids

# Whoever books at a site keeps it, open or closed as it is, until her transaction ends; whoever
# closes it waits for her. A foreign key takes the same lock.
SITE = """
CREATE FUNCTION site_is_open(site uuid, visit_from timestamptz, visit_until timestamptz)
RETURNS boolean LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, public AS $$
BEGIN
  IF site IS NULL THEN
    RETURN true;
  END IF;
  PERFORM 1 FROM appointments_location WHERE id = site FOR KEY SHARE;
  RETURN NOT EXISTS (
    SELECT 1 FROM appointments_siteclosure k
    WHERE k.location_id = site AND k.lifted_at IS NULL
      AND k.starts_at < visit_until AND k.ends_at > visit_from);
END $$;

CREATE FUNCTION site_must_be_open() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NOT site_is_open(NEW.location_id, NEW.starts_at, NEW.ends_at) THEN
    RAISE EXCEPTION 'the site is closed then'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'site_is_open';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER appointment_site_is_open
BEFORE INSERT OR UPDATE OF starts_at, ends_at, location_id ON appointments_appointment
FOR EACH ROW WHEN (NEW.status IN ('proposed', 'pending', 'booked', 'checked-in'))
EXECUTE FUNCTION site_must_be_open();
CREATE TRIGGER hold_site_is_open
BEFORE INSERT OR UPDATE OF starts_at, ends_at, location_id ON appointments_hold
FOR EACH ROW EXECUTE FUNCTION site_must_be_open();

CREATE FUNCTION site_closing() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public AS $$
BEGIN
  PERFORM 1 FROM appointments_location WHERE id = NEW.location_id FOR UPDATE;
  RETURN NEW;
END $$;
CREATE TRIGGER site_closure_waits BEFORE INSERT OR UPDATE ON appointments_siteclosure
FOR EACH ROW EXECUTE FUNCTION site_closing();

-- Visits are moved out after the closure is written: looked at when all is done.
CREATE FUNCTION site_closure_is_empty() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, public AS $$
BEGIN
  IF EXISTS (
    SELECT 1 FROM appointments_siteclosure k
    JOIN appointments_appointment a ON a.location_id = k.location_id
      AND a.starts_at < k.ends_at AND a.ends_at > k.starts_at
    WHERE k.id = NEW.id AND k.lifted_at IS NULL
      AND a.status IN ('proposed', 'pending', 'booked', 'checked-in')) THEN
    RAISE EXCEPTION 'visits stand in the closed time'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'site_closure_is_empty';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER site_closure_is_empty
AFTER INSERT OR UPDATE ON appointments_siteclosure DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION site_closure_is_empty();
"""
NO_SITE = """
DROP TRIGGER site_closure_is_empty ON appointments_siteclosure;
DROP TRIGGER site_closure_waits ON appointments_siteclosure;
DROP TRIGGER hold_site_is_open ON appointments_hold;
DROP TRIGGER appointment_site_is_open ON appointments_appointment;
DROP FUNCTION site_closure_is_empty();
DROP FUNCTION site_closing();
DROP FUNCTION site_must_be_open();
DROP FUNCTION site_is_open(uuid, timestamptz, timestamptz);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("appointments", "0008_own_visits"),
        ("patients", "0005_profile_evidence"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="SiteClosure",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=core.ids.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("reason", models.CharField(max_length=120)),
                ("made_at", models.DateTimeField()),
                ("lifted_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.AddField(
            model_name="ticket",
            name="priority",
            field=models.CharField(
                choices=[
                    ("routine", "Routine"),
                    ("urgent", "Urgent"),
                    ("asap", "As soon as possible"),
                    ("stat", "At once"),
                ],
                default="routine",
                max_length=8,
            ),
        ),
        migrations.AddConstraint(
            model_name="ticket",
            constraint=models.CheckConstraint(
                condition=models.Q(("priority__in", ["routine", "urgent", "asap", "stat"])),
                name="ticket_priority",
            ),
        ),
        migrations.AddField(
            model_name="siteclosure",
            name="lifted_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="siteclosure",
            name="location",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="closures",
                to="appointments.location",
            ),
        ),
        migrations.AddField(
            model_name="siteclosure",
            name="made_by",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddIndex(
            model_name="siteclosure",
            index=models.Index(
                condition=models.Q(("lifted_at__isnull", True)),
                fields=["location", "ends_at"],
                name="site_closure_by_place",
            ),
        ),
        migrations.AddConstraint(
            model_name="siteclosure",
            constraint=models.CheckConstraint(
                condition=models.Q(("starts_at__lt", models.F("ends_at"))),
                name="site_closure_start_before_end",
            ),
        ),
        migrations.AddConstraint(
            model_name="siteclosure",
            constraint=models.CheckConstraint(
                condition=models.Q(("reason", ""), _negated=True), name="site_closure_has_a_reason"
            ),
        ),
        migrations.AddConstraint(
            model_name="siteclosure",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("lifted_at__isnull", True), ("lifted_by__isnull", True)),
                    models.Q(("lifted_at__isnull", False), ("lifted_by__isnull", False)),
                    _connector="OR",
                ),
                name="site_closure_lifted_by_somebody",
            ),
        ),
        migrations.RunSQL(SITE, NO_SITE),
    ]
