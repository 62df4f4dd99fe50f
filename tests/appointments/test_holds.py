"""Keep an opening while she decides."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from django.db import DatabaseError, transaction

from accounts.models import User
from appointments import services
from appointments.finding import openings_for
from appointments.models import Appointment, Hold, ResourceClaim
from appointments.services.holding import HELD_FOR
from core.db import identity, system
from core.errors import NotFound
from tests.appointments.factories import MONDAY, Surgery, book, surgery
from tests.cast import Cast
from tests.tokens import Api, api_of, viewer_of

pytestmark = pytest.mark.django_db
A_MOMENT = timedelta(microseconds=1)


def hold(user: User, opening: str, now: datetime) -> Hold:
    viewer = viewer_of(user)
    with identity(viewer.identity):
        return services.hold(viewer=viewer, opening=opening, now=now)


def book_held(user: User, hold_id: UUID, now: datetime) -> Appointment:
    viewer = viewer_of(user)
    with identity(viewer.identity):
        return services.book_held(viewer=viewer, hold_id=hold_id, now=now)


def starts(user: User, clinic: Surgery, now: datetime) -> list[datetime]:
    viewer = viewer_of(user)
    with identity(viewer.identity):
        page = openings_for(
            viewer,
            patient_id=viewer.patient_id,  # type: ignore[arg-type]
            visit_type_id=clinic.visit_type.id,
            first=MONDAY,
            last=MONDAY,
            now=now,
            limit=100,
        )
    return [item.opening.starts_at for item in page.items]


def claims_of(held_for: UUID) -> list[tuple[str, bool]]:
    with identity(system("booking")):
        return list(ResourceClaim.objects.filter(held_for=held_for).values_list("kind", "active"))


def test_a_held_time_is_free_to_its_holder_and_to_nobody_else(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    hold(cast.anna_user, clinic.opening(9), now)
    assert clinic.at(9) in starts(cast.anna_user, clinic, now)
    assert clinic.at(9) not in starts(cast.brigid.user, clinic, now)
    with pytest.raises(services.SlotTaken) as refusal:
        hold(cast.brigid.user, clinic.opening(9), now)
    assert [item.opening.starts_at for item in refusal.value.alternatives][:1] == [clinic.at(9, 30)]


def test_a_hold_is_over_at_its_instant_without_anything_running(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    kept = hold(cast.anna_user, clinic.opening(9), now)
    assert kept.expires_at == now + timedelta(minutes=5)
    assert clinic.at(9) not in starts(cast.brigid.user, clinic, now + HELD_FOR - A_MOMENT)
    assert clinic.at(9) in starts(cast.brigid.user, clinic, now + HELD_FOR)
    with pytest.raises(services.HoldExpired) as refusal:
        book_held(cast.anna_user, kept.id, now + HELD_FOR)
    assert refusal.value.alternatives[0].opening.starts_at == clinic.at(9)
    book(cast.brigid.user, clinic.opening(9), now + HELD_FOR)


def test_a_held_time_becomes_her_visit_at_its_last_moment(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic, needs=("room",), buffer_after_minutes=10)
    services.create_resource(
        organization=cast.clinic, kind="room", name="Room 1", location=clinic.location
    )
    kept = hold(cast.anna_user, clinic.opening(9), now)
    visit = book_held(cast.anna_user, kept.id, now + HELD_FOR - A_MOMENT)
    assert claims_of(visit.id) == [("booking", True)] * 2
    assert claims_of(kept.id) == []
    with identity(system("booking")):
        kept.refresh_from_db()
        assert kept.ending == "booked"
        spans = ResourceClaim.objects.filter(held_for=visit.id).values_list("during", "expires_at")
        assert {(span.lower, span.upper, expires) for span, expires in spans} == {
            (clinic.at(9), clinic.at(9, 40), None)
        }
    with pytest.raises(services.HoldExpired):
        book_held(cast.anna_user, kept.id, now + timedelta(minutes=1))


def test_booking_the_opening_itself_uses_her_hold(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    kept = hold(cast.anna_user, clinic.opening(9), now)
    visit = book(cast.anna_user, clinic.opening(9), now + timedelta(minutes=1))
    assert (visit.starts_at, claims_of(visit.id)) == (clinic.at(9), [("booking", True)])
    with identity(system("booking")):
        kept.refresh_from_db()
    assert kept.ending == "booked"


def test_hours_that_change_do_not_take_a_held_time(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    kept = hold(cast.anna_user, clinic.opening(9), now)
    services.add_exception(schedule=clinic.schedule, on=MONDAY, kind="closed")
    assert book_held(cast.anna_user, kept.id, now).starts_at == clinic.at(9)


def test_a_held_time_does_not_let_her_be_in_two_places(cast: Cast, now: datetime) -> None:
    one, other = surgery(cast.clinic), surgery(cast.clinic)
    kept = hold(cast.anna_user, one.opening(9), now)
    book(cast.anna_user, other.opening(9), now)
    with pytest.raises(services.PatientBusy):
        book_held(cast.anna_user, kept.id, now)
    assert claims_of(kept.id) == [("hold", True)]


def test_a_hold_is_renewed_once(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    kept = hold(cast.anna_user, clinic.opening(9), now)
    viewer = viewer_of(cast.anna_user)
    later = now + timedelta(minutes=4)
    with identity(viewer.identity):
        renewed = services.renew(viewer=viewer, hold_id=kept.id, now=later)
    assert renewed.expires_at == later + HELD_FOR
    assert clinic.at(9) not in starts(cast.brigid.user, clinic, later + HELD_FOR - A_MOMENT)
    with identity(viewer.identity), pytest.raises(services.HoldRenewed):
        services.renew(viewer=viewer, hold_id=kept.id, now=later)


def test_an_expired_hold_is_not_renewed(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    kept = hold(cast.anna_user, clinic.opening(9), now)
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity), pytest.raises(services.HoldExpired):
        services.renew(viewer=viewer, hold_id=kept.id, now=now + HELD_FOR)


def test_a_released_time_is_free_at_once(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    kept = hold(cast.anna_user, clinic.opening(9), now)
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        services.release(viewer=viewer, hold_id=kept.id, now=now)
        services.release(viewer=viewer, hold_id=kept.id, now=now)
    hold(cast.brigid.user, clinic.opening(9), now)
    with identity(viewer.identity), pytest.raises(services.HoldExpired):
        services.renew(viewer=viewer, hold_id=kept.id, now=now)


def test_asked_for_again_it_is_the_same_hold(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    kept = hold(cast.anna_user, clinic.opening(9), now)
    again = hold(cast.anna_user, clinic.opening(9), now + timedelta(minutes=1))
    assert (again.id, again.expires_at) == (kept.id, kept.expires_at)


def test_she_keeps_three_times_at_most(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    for half_hour in range(3):
        hold(cast.anna_user, clinic.opening(9 + half_hour // 2, 30 * (half_hour % 2)), now)
    with pytest.raises(services.TooManyHolds):
        hold(cast.anna_user, clinic.opening(11), now)
    hold(cast.anna_user, clinic.opening(11), now + HELD_FOR)


def test_the_hold_of_somebody_else_does_not_exist(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    kept = hold(cast.anna_user, clinic.opening(9), now)
    stranger = viewer_of(cast.brigid.user)
    for act in (services.book_held, services.renew, services.release):
        with identity(stranger.identity), pytest.raises(NotFound):
            act(viewer=stranger, hold_id=kept.id, now=now)
    with identity(stranger.identity):
        assert not Hold.objects.exists()
        assert not ResourceClaim.objects.filter(held_for=kept.id).update(active=False)


@pytest.mark.parametrize(
    "change",
    [
        {"ends_at": "starts_at"},
        {"expires_at": "made_at"},
        {"zone": ""},
        {"ending": "booked"},
        {"ended_at": "made_at"},
    ],
)
def test_the_table_refuses_a_broken_hold(cast: Cast, now: datetime, change: dict) -> None:
    clinic = surgery(cast.clinic)
    kept = hold(cast.anna_user, clinic.opening(9), now)
    values = {
        name: getattr(kept, value) if value in ("starts_at", "made_at") else value
        for name, value in change.items()
    }
    with identity(system("booking")), pytest.raises(DatabaseError), transaction.atomic():
        Hold.objects.filter(id=kept.id).update(**values)


def next_monday_opening(clinic: Surgery, hour: int, minute: int = 0) -> str:
    from core.clock import utc_now

    today = utc_now().date()
    return clinic.opening(hour, minute, on=today + timedelta(days=7 - today.weekday()))


def test_the_whole_way_through_the_api(cast: Cast) -> None:
    clinic = surgery(cast.clinic)
    anna: Api = api_of(cast.anna_user, "appointments.read appointments.write")
    brigid: Api = api_of(cast.brigid.user, "appointments.read appointments.write")
    opening = next_monday_opening(clinic, 9)
    kept = anna.post("patients/me/holds", {"opening": opening})
    assert kept.status_code == 201, kept.content
    assert (kept.json()["opening"], kept.json()["renewable"]) == (opening, True)
    refused = brigid.post("patients/me/holds", {"opening": opening})
    assert (refused.status_code, refused.json()["code"]) == (409, "slot-taken")
    assert len(refused.json()["alternatives"]) == 5
    address = f"patients/me/holds/{kept.json()['id']}"
    assert brigid.post(f"{address}/$renew", {}).status_code == 404
    renewed = anna.post(f"{address}/$renew", {})
    assert (renewed.status_code, renewed.json()["renewable"]) == (200, False)
    listed = anna.get("patients/me/holds").json()["items"]
    assert [item["id"] for item in listed] == [kept.json()["id"]]
    visit = anna.post("patients/me/appointments", {"hold": kept.json()["id"]})
    assert (visit.status_code, visit.json()["start"]) == (201, kept.json()["start"])
    assert anna.get("patients/me/holds").json()["items"] == []
    gone = anna.post("patients/me/appointments", {"hold": kept.json()["id"]})
    assert (gone.status_code, gone.json()["code"]) == (409, "hold-expired")
    assert gone.json()["alternatives"]


def test_a_hold_is_released_through_the_api(cast: Cast) -> None:
    clinic = surgery(cast.clinic)
    anna = api_of(cast.anna_user, "appointments.read appointments.write")
    opening = next_monday_opening(clinic, 9)
    kept = anna.post("patients/me/holds", {"opening": opening}).json()
    assert anna.call("DELETE", f"patients/me/holds/{kept['id']}").status_code == 204
    assert anna.call("DELETE", f"patients/me/holds/{uuid4()}").status_code == 404
    brigid = api_of(cast.brigid.user, "appointments.read appointments.write")
    assert brigid.post("patients/me/holds", {"opening": opening}).status_code == 201


@pytest.mark.parametrize("body", [{}, {"opening": "x", "hold": str(uuid4())}])
def test_a_booking_names_an_opening_or_a_hold(cast: Cast, body: dict) -> None:
    anna = api_of(cast.anna_user, "appointments.read appointments.write")
    answer = anna.post("patients/me/appointments", body)
    assert answer.status_code in (400, 422)
    assert answer.json()["errors"][0]["field"] == "opening"
