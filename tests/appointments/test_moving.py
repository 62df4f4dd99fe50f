"""Move a visit, and confirm it."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from accounts.models import User
from appointments import services
from appointments.models import Appointment, AppointmentHistory, PatientClaim, ResourceClaim
from core.db import identity, system
from core.errors import NotFound
from core.models import Event
from tests.appointments.factories import book, cancel, hours, surgery
from tests.appointments.test_holds import HELD_FOR, hold, next_monday_opening
from tests.cast import Cast
from tests.tokens import api_of, viewer_of

pytestmark = pytest.mark.django_db


def move(
    user: User, visit_id: UUID, opening: str, now: datetime, version: int | None = None
) -> Appointment:
    viewer = viewer_of(user)
    with identity(viewer.identity):
        return services.reschedule(
            viewer=viewer, appointment_id=visit_id, opening=opening, version=version, now=now
        )


def taken(visit: Appointment) -> list[tuple[datetime, datetime]]:
    with identity(system("booking")):
        hers = PatientClaim.objects.filter(appointment=visit, active=True).values_list("during")
        things = ResourceClaim.objects.filter(held_for=visit.id, active=True).values_list("during")
        assert sorted(hers) == sorted(things)
        return [(span.lower, span.upper) for (span,) in hers]


def test_a_moved_visit_is_the_same_visit_at_another_time(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    visit = book(cast.anna_user, clinic.opening(9), now)
    later = now + timedelta(minutes=1)
    moved = move(cast.anna_user, visit.id, clinic.opening(10), later)
    with identity(system("registration")):
        stored = Appointment.objects.get()
        history = list(
            AppointmentHistory.objects.order_by("version").values_list("action", "starts_at", "at")
        )
        event = Event.objects.get(type="appointments.rescheduled")
    assert (moved.id, stored.starts_at, stored.ends_at) == (
        visit.id,
        clinic.at(10),
        clinic.at(10, 30),
    )
    assert (stored.sequence, stored.version, stored.status) == (1, 2, "booked")
    assert str(stored.local_time) == "10:00:00"
    assert history == [("book", clinic.at(9), now), ("reschedule", clinic.at(10), later)]
    assert event.payload == {"sequence": 1, "by": "patient"}
    assert taken(stored) == [(clinic.at(10), clinic.at(10, 30))]
    book(cast.brigid.user, clinic.opening(9), later)


def test_when_the_new_time_is_lost_she_has_the_old_one(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    visit = book(cast.anna_user, clinic.opening(9), now)
    book(cast.brigid.user, clinic.opening(10), now)
    with pytest.raises(services.SlotTaken) as refusal:
        move(cast.anna_user, visit.id, clinic.opening(10), now)
    assert refusal.value.alternatives
    assert taken(visit) == [(clinic.at(9), clinic.at(9, 30))]
    with identity(system("registration")):
        assert Appointment.objects.get(id=visit.id).version == 1


def test_a_visit_moves_into_time_that_it_has_itself(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic, duration_minutes=60)
    visit = book(cast.anna_user, clinic.opening(9), now)
    moved = move(cast.anna_user, visit.id, clinic.opening(9, 30), now)
    assert taken(moved) == [(clinic.at(9, 30), clinic.at(10, 30))]


def test_a_visit_moves_to_another_doctor(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    other = services.create_resource(
        organization=cast.clinic, kind="practitioner", name="Dr Birke", location=clinic.location
    )
    schedule = hours(other, clinic.location, [clinic.visit_type])
    visit = book(cast.anna_user, clinic.opening(9), now)
    moved = move(cast.anna_user, visit.id, clinic.opening_of(schedule, clinic.at(9)), now)
    assert moved.schedule_id == schedule.id
    with identity(system("booking")):
        claim = ResourceClaim.objects.get(active=True)
    assert claim.resource_id == other.id


def test_she_cannot_move_into_another_visit_of_hers(cast: Cast, now: datetime) -> None:
    one, other = surgery(cast.clinic), surgery(cast.clinic)
    visit = book(cast.anna_user, one.opening(9), now)
    book(cast.anna_user, other.opening(10), now)
    with pytest.raises(services.PatientBusy):
        move(cast.anna_user, visit.id, one.opening(10), now)
    assert taken(visit) == [(one.at(9), one.at(9, 30))]


def test_a_visit_moves_to_a_time_kept_for_her(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    visit = book(cast.anna_user, clinic.opening(9), now)
    kept = hold(cast.anna_user, clinic.opening(10), now)
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        moved = services.reschedule_held(
            viewer=viewer, appointment_id=visit.id, hold_id=kept.id, now=now
        )
    assert taken(moved) == [(clinic.at(10), clinic.at(10, 30))]


def test_an_expired_hold_leaves_her_where_she_was(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    visit = book(cast.anna_user, clinic.opening(9), now)
    kept = hold(cast.anna_user, clinic.opening(10), now)
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity), pytest.raises(services.HoldExpired):
        services.reschedule_held(
            viewer=viewer, appointment_id=visit.id, hold_id=kept.id, now=now + HELD_FOR
        )
    assert taken(visit) == [(clinic.at(9), clinic.at(9, 30))]


def test_moving_to_the_opening_itself_uses_her_hold(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    visit = book(cast.anna_user, clinic.opening(9), now)
    hold(cast.anna_user, clinic.opening(10), now)
    assert move(cast.anna_user, visit.id, clinic.opening(10), now).starts_at == clinic.at(10)


def test_another_kind_of_visit_is_not_a_move(cast: Cast, now: datetime) -> None:
    one, other = surgery(cast.clinic), surgery(cast.clinic)
    visit = book(cast.anna_user, one.opening(9), now)
    with pytest.raises(services.OtherVisitType):
        move(cast.anna_user, visit.id, other.opening(10), now)


@pytest.mark.parametrize(
    ("before", "allowed"),
    [(timedelta(hours=1), True), (timedelta(hours=1, microseconds=-1), False)],
)
def test_the_cutoff_holds_for_moving(
    cast: Cast, now: datetime, before: timedelta, allowed: bool
) -> None:
    clinic = surgery(cast.clinic, cancel_cutoff_minutes=60)
    visit = book(cast.anna_user, clinic.opening(9), now)
    at = clinic.at(9) - before
    if allowed:
        move(cast.anna_user, visit.id, clinic.opening(11), at)
    else:
        with pytest.raises(services.TooLateToMove) as refusal:
            move(cast.anna_user, visit.id, clinic.opening(11), at)
        assert refusal.value.extra == {"phone": "+49 30 5550111"}


def test_a_stale_version_is_refused(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    visit = book(cast.anna_user, clinic.opening(9), now)
    move(cast.anna_user, visit.id, clinic.opening(10), now, version=1)
    with pytest.raises(services.VersionConflict) as refusal:
        move(cast.anna_user, visit.id, clinic.opening(11), now, version=1)
    assert refusal.value.extra == {"version": 2}
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity), pytest.raises(services.VersionConflict):
        services.cancel(viewer=viewer, appointment_id=visit.id, version=1, now=now)
    with identity(viewer.identity), pytest.raises(services.VersionConflict):
        services.confirm(viewer=viewer, appointment_id=visit.id, version=1, now=now)


def test_a_cancelled_visit_is_not_moved(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    visit = book(cast.anna_user, clinic.opening(9), now)
    cancel(cast.anna_user, visit.id, now)
    with pytest.raises(services.StatusConflict):
        move(cast.anna_user, visit.id, clinic.opening(10), now)


def test_the_visit_of_somebody_else_does_not_exist(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    visit = book(cast.anna_user, clinic.opening(9), now)
    with pytest.raises(NotFound):
        move(cast.brigid.user, visit.id, clinic.opening(10), now)


def test_confirming_twice_is_one_confirmation_and_moving_ends_it(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    visit = book(cast.anna_user, clinic.opening(9), now)
    viewer = viewer_of(cast.anna_user)
    for _ in range(2):
        with identity(viewer.identity):
            confirmed = services.confirm(viewer=viewer, appointment_id=visit.id, now=now)
    assert (confirmed.confirmed_at, confirmed.version) == (now, 2)
    assert confirmed.confirmed_by_id == cast.anna_user.pk
    assert move(cast.anna_user, visit.id, clinic.opening(10), now).confirmed_at is None


def test_what_is_over_is_not_confirmed(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    visit = book(cast.anna_user, clinic.opening(9), now)
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity), pytest.raises(services.StatusConflict):
        services.confirm(viewer=viewer, appointment_id=visit.id, now=clinic.at(9, 30))


def test_move_and_confirm_through_the_api(cast: Cast) -> None:
    clinic = surgery(cast.clinic)
    anna = api_of(cast.anna_user, "appointments.read appointments.write")
    visit = anna.post(
        "patients/me/appointments", {"opening": next_monday_opening(clinic, 9)}
    ).json()
    address = f"patients/me/appointments/{visit['id']}"
    moved = anna.post(
        f"{address}/$reschedule", {"opening": next_monday_opening(clinic, 10), "version": 1}
    )
    assert moved.status_code == 200, moved.content
    assert (moved.json()["id"], moved.json()["sequence"]) == (visit["id"], 1)
    assert moved.json()["start"]["local"].endswith("T10:00")
    stale = anna.post(
        f"{address}/$reschedule", {"opening": next_monday_opening(clinic, 11), "version": 1}
    )
    assert (stale.status_code, stale.json()["code"]) == (409, "version-conflict")
    confirmed = anna.post(f"{address}/$confirm", {})
    assert (confirmed.status_code, confirmed.json()["version"]) == (200, 3)
    assert confirmed.json()["confirmed"]["zone"] == "Europe/Berlin"
    brigid = api_of(cast.brigid.user, "appointments.read appointments.write")
    for operation in ("$reschedule", "$confirm"):
        body = {"opening": next_monday_opening(clinic, 11)}
        assert brigid.post(f"{address}/{operation}", body).status_code == 404
