"""Book, cancel and follow a visit through the services."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from accounts.roles import Role
from appointments import services
from appointments.models import (
    Appointment,
    AppointmentHistory,
    PatientClaim,
    ResourceClaim,
)
from core.db import identity, system
from core.errors import InvalidInput, NotFound
from core.models import Change, Event
from patients.models import Enrolment
from patients.viewer import Viewer, staff_viewer
from tests.appointments.factories import MONDAY, book, cancel, hours, surgery
from tests.cast import Cast
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db


def active_claims(visit: Appointment) -> tuple[int, int]:
    with identity(system("booking")):
        return (
            ResourceClaim.objects.filter(held_for=visit.id, active=True).count(),
            PatientClaim.objects.filter(appointment_id=visit.id, active=True).count(),
        )


def test_a_booking_is_the_visit_its_claims_its_history_its_event_and_its_change(
    cast: Cast, now: datetime
) -> None:
    clinic = surgery(cast.clinic, buffer_before_minutes=5, buffer_after_minutes=10)
    visit = book(cast.anna_user, clinic.opening(9, 30), now)
    with identity(system("registration")):
        stored = Appointment.objects.get(id=visit.id)
        claim = ResourceClaim.objects.get(held_for=visit.id)
        hers = PatientClaim.objects.get(appointment=visit)
        history = AppointmentHistory.objects.get(appointment=visit)
        change = Change.objects.get(resource_id=visit.id)
        event = Event.objects.get(subject_id=visit.id)
    assert (stored.status, stored.sequence, stored.version) == ("booked", 0, 1)
    assert (stored.starts_at, stored.ends_at) == (clinic.at(9, 30), clinic.at(10))
    assert (stored.zone, stored.local_date) == ("Europe/Berlin", MONDAY)
    assert (str(stored.local_time), stored.created_via) == ("09:30:00", "patient")
    assert stored.booked_by_id == cast.anna_user.pk
    assert (claim.during.lower, claim.during.upper) == (clinic.at(9, 25), clinic.at(10, 10))
    assert (claim.resource_id, claim.kind, claim.lane) == (clinic.doctor.id, "booking", 0)
    assert (hers.during.lower, hers.during.upper) == (clinic.at(9, 30), clinic.at(10))
    assert (history.version, history.action, history.at) == (1, "book", now)
    assert (change.area, change.resource, change.kind) == ("appointments", "Appointment", "upsert")
    assert (event.type, event.payload) == ("appointments.booked", {"sequence": 0})


def test_the_second_to_book_a_time_is_offered_others(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    book(cast.anna_user, clinic.opening(9), now)
    with pytest.raises(services.SlotTaken) as refusal:
        book(cast.brigid.user, clinic.opening(9), now)
    offered = [item.opening.starts_at for item in refusal.value.alternatives]
    assert offered[:2] == [clinic.at(9, 30), clinic.at(10)]
    assert len(offered) == 5


def test_a_lost_booking_leaves_nothing(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    book(cast.anna_user, clinic.opening(9), now)
    with pytest.raises(services.SlotTaken):
        book(cast.brigid.user, clinic.opening(9), now)
    with identity(system("registration")):
        assert Appointment.objects.count() == 1
        assert ResourceClaim.objects.count() == 1
        assert PatientClaim.objects.count() == 1
        assert Event.objects.count() == 1


def test_book_cancel_book(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    first = book(cast.anna_user, clinic.opening(9), now)
    cancel(cast.anna_user, first.id, now)
    second = book(cast.brigid.user, clinic.opening(9), now)
    third = cancel(cast.brigid.user, second.id, now)
    book(cast.anna_user, clinic.opening(9), now)
    assert third.status == "cancelled"
    assert active_claims(first) == active_claims(second) == (0, 0)


def test_buffers_keep_neighbours_apart(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic, buffer_after_minutes=10)
    book(cast.anna_user, clinic.opening(9), now)
    with pytest.raises(services.SlotTaken):
        book(cast.brigid.user, clinic.opening(9, 30), now)
    book(cast.brigid.user, clinic.opening(10), now)


def test_neighbours_without_buffers_touch(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    book(cast.anna_user, clinic.opening(9, 30), now)
    book(cast.brigid.user, clinic.opening(9), now)
    book(cast.brigid.user, clinic.opening(10), now)


def test_she_cannot_be_at_two_visits_at_once(cast: Cast, now: datetime) -> None:
    one, other = surgery(cast.clinic), surgery(cast.clinic, duration_minutes=60)
    book(cast.anna_user, one.opening(9, 30), now)
    with pytest.raises(services.PatientBusy):
        book(cast.anna_user, other.opening(9), now)
    with identity(system("booking")):
        assert ResourceClaim.objects.filter(resource=other.doctor).count() == 0
    book(cast.anna_user, other.opening(10), now)


def test_a_visit_takes_every_resource_that_it_needs(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic, needs=("room",))
    room = services.create_resource(
        organization=cast.clinic, kind="room", name="Room 1", location=clinic.location
    )
    visit = book(cast.anna_user, clinic.opening(9), now)
    assert active_claims(visit) == (2, 1)
    # Another doctor has time, the only room has not.
    second = services.create_resource(
        organization=cast.clinic, kind="practitioner", name="Dr Birke", location=clinic.location
    )
    schedule = hours(second, clinic.location, [clinic.visit_type])
    with pytest.raises(services.SlotTaken):
        book(cast.brigid.user, clinic.opening_of(schedule, clinic.at(9)), now)
    with identity(system("booking")):
        assert not ResourceClaim.objects.filter(resource=second).exists()
        assert ResourceClaim.objects.filter(resource=room, active=True).count() == 1
    services.create_resource(
        organization=cast.clinic, kind="room", name="Room 2", location=clinic.location
    )
    book(cast.brigid.user, clinic.opening_of(schedule, clinic.at(9)), now)


def test_a_need_that_no_place_meets_cannot_be_booked(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic, needs=("scanner",))
    with pytest.raises(services.SlotTaken) as refusal:
        book(cast.anna_user, clinic.opening(9), now)
    assert refusal.value.alternatives == ()


def test_lanes_are_filled_one_after_the_other(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    clinic.doctor.lanes = 2
    clinic.doctor.save(update_fields=["lanes"])
    book(cast.anna_user, clinic.opening(9), now)
    book(cast.brigid.user, clinic.opening(9), now)
    with identity(system("booking")):
        lanes = ResourceClaim.objects.filter(active=True).values_list("lane", flat=True)
        assert sorted(lanes) == [0, 1]
    third = surgery(cast.clinic)
    with identity(system("registration")):
        Enrolment.objects.create(
            patient=cast.carla, organization=cast.clinic, starts_at=now - timedelta(days=1)
        )
    with pytest.raises(services.SlotTaken):
        book(cast.carla.user, clinic.opening(9), now)
    book(cast.carla.user, third.opening(9), now)


def hold(clinic, *, expires_at: datetime, now: datetime) -> ResourceClaim:  # type: ignore[no-untyped-def]
    with identity(system("booking")):
        return ResourceClaim.objects.create(
            resource=clinic.doctor,
            during=(clinic.at(9), clinic.at(9, 30)),
            kind="hold",
            expires_at=expires_at,
            held_for=uuid4(),
            made_at=now,
        )


def test_a_hold_keeps_its_time_until_it_expires(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    held = hold(clinic, expires_at=now + timedelta(minutes=5), now=now)
    with pytest.raises(services.SlotTaken):
        book(cast.anna_user, clinic.opening(9), now + timedelta(minutes=5, microseconds=-1))
    book(cast.anna_user, clinic.opening(9), now + timedelta(minutes=5))
    held.refresh_from_db()
    assert (held.active, held.ended_at) == (False, now + timedelta(minutes=5))


@pytest.mark.parametrize(
    ("hour", "minute", "rules", "after", "reason"),
    [
        (9, 0, {}, timedelta(days=1, hours=-1, microseconds=1), "past"),
        (9, 0, {"lead_time_minutes": 60}, timedelta(days=1, hours=-2, microseconds=1), "too-soon"),
        (9, 0, {"horizon_days": 1}, timedelta(hours=-1, microseconds=-1), "too-far"),
        (9, 10, {}, timedelta(0), "no-such-time"),
        (12, 0, {}, timedelta(0), "no-such-time"),
    ],
)
def test_what_is_not_offered_cannot_be_booked(
    cast: Cast, now: datetime, hour: int, minute: int, rules: dict, after: timedelta, reason: str
) -> None:
    """`now` is Sunday 10:00 at the clinic; the opening is Monday 09:00."""
    clinic = surgery(cast.clinic, **rules)
    with pytest.raises(services.NotOffered) as refusal:
        book(cast.anna_user, clinic.opening(hour, minute), now + after)
    assert refusal.value.extra == {"reason": reason}


@pytest.mark.parametrize(
    ("rules", "after"),
    [
        ({}, timedelta(days=1, hours=-1)),
        ({"lead_time_minutes": 60}, timedelta(days=1, hours=-2)),
        ({"horizon_days": 1}, timedelta(hours=-1)),
    ],
)
def test_the_edges_of_what_is_offered_can_be_booked(
    cast: Cast, now: datetime, rules: dict, after: timedelta
) -> None:
    clinic = surgery(cast.clinic, **rules)
    assert book(cast.anna_user, clinic.opening(9), now + after).status == "booked"


def test_hours_that_changed_are_no_longer_booked(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    services.add_exception(schedule=clinic.schedule, on=MONDAY, kind="closed")
    with pytest.raises(services.NotOffered) as refusal:
        book(cast.anna_user, clinic.opening(9), now)
    tuesday = MONDAY + timedelta(days=1)
    assert refusal.value.alternatives[0].opening.starts_at == clinic.at(9, on=tuesday)


@pytest.mark.parametrize("policy", ["view", "request", "ticket"])
def test_only_direct_visits_are_booked_by_patients(cast: Cast, now: datetime, policy: str) -> None:
    clinic = surgery(cast.clinic, booking_policy=policy)
    with pytest.raises(services.NotSelfBookable):
        book(cast.anna_user, clinic.opening(9), now)


def staff(cast: Cast, now: datetime) -> Viewer:
    viewer = staff_viewer(user=cast.nurse, now=now)
    assert Role.NURSE in viewer.roles
    return viewer


def test_staff_book_what_patients_may_not(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic, booking_policy="view")
    viewer = staff(cast, now)
    with identity(viewer.identity):
        visit = services.book(
            viewer=viewer, patient_id=cast.anna.id, opening=clinic.opening(9), now=now
        )
    assert (visit.created_via, visit.booked_by_id) == ("staff", cast.nurse.pk)


def test_a_clinic_where_she_is_not_enrolled_does_not_exist(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.other_clinic)
    with pytest.raises(NotFound):
        book(cast.anna_user, clinic.opening(9), now)


def test_a_forged_opening_does_not_exist(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    real = clinic.opening(9)
    for forged in (real[:-1], real[:-2] + ("AA" if real[-2:] != "AA" else "BB"), "", "é", real * 2):
        with pytest.raises(NotFound):
            book(cast.anna_user, forged, now)


def test_an_opening_says_nothing_about_anybody(cast: Cast) -> None:
    clinic = surgery(cast.clinic)
    assert clinic.opening(9) == clinic.opening(9)
    assert len(clinic.opening(9)) <= 72


def test_cancelling_is_recorded_everywhere(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    visit = book(cast.anna_user, clinic.opening(9), now)
    later = now + timedelta(hours=1)
    cancelled = cancel(cast.anna_user, visit.id, later, reason="pat-fb")
    assert (cancelled.status, cancelled.sequence, cancelled.version) == ("cancelled", 1, 2)
    assert (cancelled.cancelled_at, cancelled.cancelled_by_id) == (later, cast.anna_user.pk)
    assert active_claims(visit) == (0, 0)
    with identity(system("registration")):
        latest = AppointmentHistory.objects.get(appointment=visit, version=2)
        event = Event.objects.get(type="appointments.cancelled")
        assert Change.objects.filter(resource_id=visit.id).count() == 2
    assert (latest.action, latest.status, latest.reason) == ("cancel", "cancelled", "pat-fb")
    assert event.payload == {"sequence": 1, "by": "patient"}


def test_a_visit_is_cancelled_once(cast: Cast, now: datetime) -> None:
    visit = book(cast.anna_user, surgery(cast.clinic).opening(9), now)
    cancel(cast.anna_user, visit.id, now)
    with pytest.raises(services.StatusConflict):
        cancel(cast.anna_user, visit.id, now)


def test_the_cut_off_includes_its_edge(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic, cancel_cutoff_minutes=120)
    visit = book(cast.anna_user, clinic.opening(9), now)
    with pytest.raises(services.TooLateToCancel) as refusal:
        cancel(cast.anna_user, visit.id, clinic.at(7) + timedelta(microseconds=1))
    assert refusal.value.extra == {"phone": clinic.location.phone}
    assert cancel(cast.anna_user, visit.id, clinic.at(7)).status == "cancelled"


def test_a_visit_that_has_begun_is_not_cancelled_by_her(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    visit = book(cast.anna_user, clinic.opening(9), now)
    with pytest.raises(services.TooLateToCancel):
        cancel(cast.anna_user, visit.id, clinic.at(9))
    viewer = staff(cast, now)
    with identity(viewer.identity):
        services.cancel(viewer=viewer, appointment_id=visit.id, reason="prov", now=clinic.at(9))


def test_she_does_not_cancel_in_the_clinics_name(cast: Cast, now: datetime) -> None:
    visit = book(cast.anna_user, surgery(cast.clinic).opening(9), now)
    for reason in ("prov", "maint", "nonsense", ""):
        with pytest.raises(InvalidInput):
            cancel(cast.anna_user, visit.id, now, reason=reason)


def test_a_stranger_cancels_nothing(cast: Cast, now: datetime) -> None:
    visit = book(cast.anna_user, surgery(cast.clinic).opening(9), now)
    with pytest.raises(NotFound):
        cancel(cast.brigid.user, visit.id, now)
    assert active_claims(visit) == (1, 1)


def test_staff_follow_a_visit_on_the_day(cast: Cast, now: datetime) -> None:
    visit = book(cast.anna_user, surgery(cast.clinic).opening(9), now)
    viewer = staff(cast, now)
    with identity(viewer.identity):
        for status in ("checked-in", "arrived", "fulfilled"):
            made = services.change_status(
                viewer=viewer, appointment_id=visit.id, status=status, now=now
            )
            assert made.status == status
        with pytest.raises(services.StatusConflict):
            services.change_status(
                viewer=viewer, appointment_id=visit.id, status="arrived", now=now
            )
        with pytest.raises(services.StatusConflict):
            services.cancel(viewer=viewer, appointment_id=visit.id, reason="prov", now=now)
    assert made.version == 4
    assert active_claims(visit) == (1, 1)


def test_a_visit_entered_in_error_gives_back_its_time(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    visit = book(cast.anna_user, clinic.opening(9), now)
    viewer = staff(cast, now)
    with identity(viewer.identity):
        services.change_status(
            viewer=viewer, appointment_id=visit.id, status="entered-in-error", now=now
        )
    book(cast.brigid.user, clinic.opening(9), now)


def test_a_patient_changes_no_status(cast: Cast, now: datetime) -> None:
    visit = book(cast.anna_user, surgery(cast.clinic).opening(9), now)
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity), pytest.raises(NotFound):
        services.change_status(viewer=viewer, appointment_id=visit.id, status="arrived", now=now)


def block(cast: Cast, clinic, now: datetime, *, actor=None):  # type: ignore[no-untyped-def]
    actor = actor or cast.nurse
    viewer = staff_viewer(user=actor, now=now)
    with identity(viewer.identity):
        return services.block_time(
            actor=actor,
            resource_id=clinic.doctor.id,
            starts_at=clinic.at(9),
            ends_at=clinic.at(10),
            reason="Training",
            now=now,
        )


def test_blocked_time_is_not_booked_until_the_block_is_lifted(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    made = block(cast, clinic, now)
    with pytest.raises(services.SlotTaken):
        book(cast.anna_user, clinic.opening(9, 30), now)
    with identity(staff_viewer(user=cast.nurse, now=now).identity):
        services.lift_block(actor=cast.nurse, block_id=made.id, now=now)
        with pytest.raises(services.StatusConflict):
            services.lift_block(actor=cast.nurse, block_id=made.id, now=now)
    book(cast.anna_user, clinic.opening(9, 30), now)


def test_booked_time_is_not_blocked(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    book(cast.anna_user, clinic.opening(9, 30), now)
    with pytest.raises(services.AppointmentsInTheWay):
        block(cast, clinic, now)


def test_only_the_clinics_own_staff_block_time(cast: Cast, now: datetime) -> None:
    with pytest.raises(NotFound):
        block(cast, surgery(cast.clinic), now, actor=cast.other_nurse)


def test_a_day_with_a_change_of_clocks_keeps_its_wall_clock_time(cast: Cast) -> None:
    """Booked in winter time for the first Monday of summer time."""
    clinic = surgery(cast.clinic)
    on = datetime(2026, 3, 30, tzinfo=UTC).date()
    visit = book(cast.anna_user, clinic.opening(9, on=on), datetime(2026, 3, 27, 8, tzinfo=UTC))
    assert visit.starts_at == datetime(2026, 3, 30, 7, tzinfo=UTC)
    assert str(visit.local_time) == "09:00:00"
