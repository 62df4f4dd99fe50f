"""Block people or close a site: who is affected, and what becomes of them."""

from datetime import UTC, date, datetime, time

import pytest

from appointments import services
from appointments.impact import Closing
from appointments.models import (
    Block,
    Hold,
    ResourceClaim,
    SiteClosure,
)
from core.db import identity, system
from notifications.models import Notification
from notifications.services import drain
from patients.viewer import staff_viewer
from tests.appointments.closings import (
    DAY,
    TUESDAY,
    cancelled,
    close,
    dies,
    doctor,
    kept,
    morning,
    moved,
    notices,
    seen,
    site,
    tickets,
)
from tests.appointments.factories import MONDAY, Surgery, book, cancel, hours, surgery
from tests.appointments.orders import order
from tests.appointments.orders import starts as offered_to
from tests.appointments.series import book_all, lay_down, staff_book, ward
from tests.appointments.test_holds import book_held, hold, starts
from tests.appointments.test_moving import move
from tests.appointments.waitlist import entry_now, offers, tick, visit_now, wait
from tests.cast import Cast
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic)


# --- who is affected ------------------------------------------------------------------------------


def test_the_preview_shows_who_is_in_the_way(cast: Cast, clinic: Surgery, now: datetime) -> None:
    late = book(cast.anna_user, clinic.opening(11), now)
    early = book(cast.brigid.user, clinic.opening(9), now)
    book(cast.anna_user, clinic.opening(9, on=TUESDAY), now)
    gone = book(cast.brigid.user, clinic.opening(10), now)
    cancel(cast.brigid.user, gone.id, now)
    hold(cast.anna_user, clinic.opening(10, 30), now)
    found = seen(cast.desk, site(clinic), now)
    assert [one.visit for one in found.visits] == [early, late]
    assert (found.holds, found.offers, found.unseen) == (1, 0, 0)
    assert all(not one.may_keep for one in found.visits)
    first, second = (one.proposed for one in found.visits)
    assert first is not None
    assert second is not None
    # Anna has nine o'clock herself on Tuesday; brigid is proposed half past.
    assert first.opening.starts_at == clinic.at(9, 30, TUESDAY)
    assert second.opening.starts_at == clinic.at(10, on=TUESDAY)


@pytest.mark.parametrize(
    ("starts", "ends", "met"),
    [((9, 30), (10, 0), 0), ((9, 29), (10, 0), 1), ((8, 0), (9, 0), 0), ((8, 0), (9, 1), 1)],
)
def test_a_visit_is_met_to_the_minute(
    cast: Cast,
    clinic: Surgery,
    now: datetime,
    starts: tuple[int, int],
    ends: tuple[int, int],
    met: int,
) -> None:
    book(cast.anna_user, clinic.opening(9), now)
    for closing in (
        doctor(clinic, clinic.at(*starts), clinic.at(*ends)),
        Closing(clinic.at(*starts), clinic.at(*ends), location_id=clinic.location.id),
    ):
        assert len(seen(cast.desk, closing, now).visits) == met


def test_nobody_is_proposed_a_time_that_is_closed_too(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    book(cast.anna_user, clinic.opening(9), now)
    (one,) = seen(cast.desk, site(clinic, days=3), now).visits
    assert one.proposed is not None
    assert one.proposed.opening.starts_at == clinic.at(9, on=MONDAY + 3 * DAY)
    (one,) = seen(cast.desk, doctor(clinic, clinic.at(9), clinic.at(11)), now).visits
    assert one.proposed is not None
    assert one.proposed.opening.starts_at == clinic.at(11)


def test_another_doctor_at_the_same_time_is_nearest(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    other = services.create_resource(
        organization=cast.clinic, kind="practitioner", name="Dr Birke", location=clinic.location
    )
    theirs = hours(other, clinic.location, [clinic.visit_type])
    book(cast.anna_user, clinic.opening(9), now)
    (one,) = seen(cast.desk, morning(clinic), now).visits
    assert one.proposed is not None
    assert (one.proposed.opening.schedule_id, one.proposed.opening.starts_at) == (
        theirs.id,
        clinic.at(9),
    )


def test_another_site_is_an_alternative_and_not_proposed(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    second = surgery(cast.clinic)
    book(cast.anna_user, clinic.opening(9), now)
    elsewhere = second.schedule
    elsewhere.visit_types.add(clinic.visit_type)
    (one,) = seen(cast.desk, site(clinic, days=20), now).visits
    assert one.proposed is None
    assert one.alternatives
    assert {offered.opening.schedule_id for offered in one.alternatives} == {elsewhere.id}


def test_visits_of_a_care_plan_are_marked(cast: Cast, now: datetime) -> None:
    place = ward(cast)
    plan = lay_down(cast, place, now)
    book_all(cast.anna_user, plan, now)
    closing = Closing(now, now + 60 * DAY, location_id=place.clinic.location.id)
    shown = seen(cast.desk, closing, now).visits
    assert shown
    assert {one.plan.plan_id for one in shown if one.plan} == {plan.id}
    other = staff_book(cast, place.opening(1, 11, on=TUESDAY), now)
    assert [one.plan for one in seen(cast.desk, closing, now).visits if one.visit == other] == [
        None
    ]


def test_a_visit_of_a_care_plan_is_not_moved_out_of_its_order(cast: Cast, now: datetime) -> None:
    place = ward(cast)
    plan = lay_down(cast, place, now)
    visits = book_all(cast.anna_user, plan, now)
    labs, _, infusion = (visits[cell] for cell in sorted(visits)[:3])
    closing = Closing(labs.starts_at, labs.ends_at, resource_ids=(place.blood.resource_id,))

    with pytest.raises(services.PlanOrder) as refused:
        close(cast.desk, closing, moved(labs, place.opening(0, 15, on=infusion.local_date)), now)
    assert "of cycle 1 would not come after" in refused.value.detail
    assert visit_now(labs).starts_at == labs.starts_at
    assert not Block.objects.exists()

    friday = labs.local_date - 3 * DAY
    close(cast.desk, closing, moved(labs, place.opening(0, 15, on=friday)), now)
    assert visit_now(labs).starts_at == place.clinic.at(15, on=friday)


def test_who_is_outside_her_reach_is_counted_and_not_shown(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    hers = book(cast.anna_user, clinic.opening(9), now)
    other = book(cast.brigid.user, clinic.opening(10), now)
    found = seen(cast.clinician, site(clinic), now)
    assert [one.visit for one in found.visits] == [hers]
    assert found.unseen == 1
    with pytest.raises(services.ClosingOutOfReach):
        close(cast.clinician, site(clinic), cancelled(hers), now)
    assert visit_now(hers).status == "booked"
    close(cast.desk, site(clinic), cancelled(hers, other), now)


# --- closing --------------------------------------------------------------------------------------


def test_a_closed_site_offers_and_takes_nothing_and_opens_again(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    done = close(cast.desk, site(clinic), {}, now)
    assert done.closure is not None
    assert starts(cast.anna_user, clinic, now) == []
    with pytest.raises(services.NotOffered) as refusal:
        book(cast.anna_user, clinic.opening(9), now)
    assert refusal.value.alternatives[0].opening.starts_at == clinic.at(9, on=TUESDAY)
    with pytest.raises(services.NotOffered):
        hold(cast.anna_user, clinic.opening(9), now)
    viewer = staff_viewer(user=cast.desk, now=now)
    with identity(viewer.identity):
        services.lift_closure(viewer=viewer, closure_id=done.closure.id, now=now)
        with pytest.raises(services.StatusConflict):
            services.lift_closure(viewer=viewer, closure_id=done.closure.id, now=now)
    book(cast.anna_user, clinic.opening(9), now)


def test_who_works_at_two_sites_goes_on_at_the_other(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    clinic.doctor.location = None
    clinic.doctor.save(update_fields=["location"])
    second = services.create_location(
        organization=cast.clinic, name="Second house", zone="Europe/Berlin"
    )
    other = services.create_schedule(
        resource=clinic.doctor, location=second, visit_types=[clinic.visit_type]
    )
    services.add_exception(
        schedule=other,
        on=MONDAY,
        kind="extra",
        starts=time(9),
        ends=time(10),
        slot_step_minutes=30,
    )
    close(cast.desk, site(clinic), {}, now)
    visit = book(cast.anna_user, clinic.opening_of(other, clinic.at(9)), now)
    assert visit.location_id == second.id


def test_a_visit_is_moved_cancelled_or_blocked_in_one_go(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    one = book(cast.anna_user, clinic.opening(9), now)
    two = book(cast.brigid.user, clinic.opening(10), now)
    done = close(
        cast.desk,
        site(clinic),
        moved(one, clinic.opening(11, on=TUESDAY)) | cancelled(two),
        now,
        cancellation="maint",
    )
    assert (done.moved, done.cancelled, len(done.tickets)) == ([one], [two], 1)
    assert visit_now(one).starts_at == clinic.at(11, on=TUESDAY)
    gone = visit_now(two)
    assert (gone.status, gone.cancellation_reason) == ("cancelled", "maint")


def test_everybody_hears_once(cast: Cast, clinic: Surgery, now: datetime) -> None:
    one = book(cast.anna_user, clinic.opening(9), now)
    two = book(cast.anna_user, clinic.opening(10), now)
    close(
        cast.desk,
        site(clinic),
        moved(one, clinic.opening(11, on=TUESDAY)) | cancelled(two),
        now,
    )
    assert notices(cast, now) == sorted([f"visit:{one.id}:1:changed", f"visit:{two.id}:1:changed"])


@pytest.mark.parametrize("policy", ["direct", "request", "ticket"])
def test_whoever_is_cancelled_may_book_anew_herself(cast: Cast, now: datetime, policy: str) -> None:
    clinic = surgery(cast.clinic, booking_policy=policy)
    visit = staff_book(cast, clinic.opening(9), now)
    close(cast.desk, site(clinic), cancelled(visit), now)
    (ticket,) = tickets(cast.brigid)
    assert (ticket.origin, ticket.priority, ticket.uses) == ("clinic-change", "asap", 1)
    assert (ticket.earliest, ticket.latest) == (MONDAY - DAY, MONDAY + 56 * DAY)
    her = cast.brigid.user
    assert her is not None
    viewer = viewer_of(her)
    assert clinic.at(9, on=TUESDAY) in offered_to(
        her, clinic.visit_type.id, now, first=TUESDAY, last=TUESDAY
    )
    kept_for_her = hold(her, clinic.opening(9, on=TUESDAY), now)
    with identity(viewer.identity):
        made = services.book_held(
            viewer=viewer, hold_id=kept_for_her.id, ticket_id=ticket.id, now=now
        )
    assert (made.ticket_id, made.ticket_use) == (ticket.id, 1)
    if policy != "direct":
        with pytest.raises(services.TicketUsed):
            book(her, clinic.opening(10, on=TUESDAY), now)
        with pytest.raises(services.NotSelfBookable):
            book(cast.anna_user, clinic.opening(10, on=TUESDAY), now)
    # With its ticket she may also move what she booked.
    later = clinic.opening(11, on=TUESDAY)
    assert move(her, made.id, later, now).starts_at == clinic.at(11, on=TUESDAY)


def test_an_order_is_no_ticket_where_she_has_to_ask(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic, booking_policy="ticket")
    order(cast, clinic, now)
    clinic.visit_type.booking_policy = "request"
    clinic.visit_type.save(update_fields=["booking_policy"])
    with pytest.raises(services.NotSelfBookable):
        book(cast.anna_user, clinic.opening(9), now)


def test_a_far_visit_is_not_rebooked_for_tomorrow(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    far = date(2027, 1, 25)
    visit = book(cast.anna_user, clinic.opening(9, on=far), now)
    close(cast.desk, site(clinic, far), cancelled(visit), now)
    (ticket,) = tickets(cast.anna)
    assert (ticket.earliest, ticket.latest) == (far - 7 * DAY, far + 56 * DAY)


def test_where_only_the_clinic_books_there_is_no_ticket(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic, booking_policy="view")
    visit = staff_book(cast, clinic.opening(9), now)
    done = close(cast.desk, site(clinic), cancelled(visit), now)
    assert (done.cancelled, done.tickets) == ([visit], [])


def test_the_dead_get_no_ticket_and_no_notice(cast: Cast, clinic: Surgery, now: datetime) -> None:
    visit = book(cast.anna_user, clinic.opening(9), now)
    dies(cast.anna, now)
    (shown,) = seen(cast.desk, site(clinic), now).visits
    assert not shown.may_rebook
    close(cast.desk, site(clinic), cancelled(visit), now)
    assert visit_now(visit).cancellation_reason == "pat-dec"
    assert tickets(cast.anna) == []
    assert len(notices(cast, now)) == 1
    for half_days in range(5):
        drain(now=now + half_days * DAY / 2)
    with identity(system("notifications")):
        found = Notification.objects.filter(patient_id=cast.anna.id).values_list("state", flat=True)
        assert set(found) <= {"skipped"}


def test_what_is_kept_for_somebody_is_given_back(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    held = hold(cast.anna_user, clinic.opening(9), now)
    outside = hold(cast.anna_user, clinic.opening(9, on=TUESDAY), now)
    done = close(cast.desk, morning(clinic), {}, now)
    assert (done.holds, done.offers) == (1, 0)
    with pytest.raises(services.HoldExpired):
        book_held(cast.anna_user, held.id, now)
    book_held(cast.anna_user, outside.id, now)
    with identity(system("booking")):
        assert Hold.objects.get(id=held.id).ending == "released"


def test_an_offer_ends_and_she_keeps_her_place(cast: Cast, clinic: Surgery, now: datetime) -> None:
    entry = wait(cast.anna_user, clinic, now)
    tick(now)
    (offer,) = offers()
    assert seen(cast.desk, site(clinic), now).offers == 1
    done = close(cast.desk, site(clinic), {}, now)
    assert (done.holds, done.offers) == (0, 1)
    (over,) = offers()
    assert (over.id, over.status) == (offer.id, "withdrawn")
    assert entry_now(entry).status == "active"
    assert entry_now(entry).made_at == entry.made_at
    tick(now)
    _, again = offers()
    assert again.hold.starts_at == clinic.at(9, on=TUESDAY)


def test_blocks_that_stand_there_are_closed_around(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    with identity(staff_viewer(user=cast.desk, now=now).identity):
        lunch = services.block_time(
            actor=cast.desk,
            resource_id=clinic.doctor.id,
            starts_at=clinic.at(10),
            ends_at=clinic.at(10, 30),
            reason="Call",
            now=now,
        )
    done = close(cast.desk, morning(clinic), {}, now)
    assert starts(cast.anna_user, clinic, now) == []
    with identity(staff_viewer(user=cast.desk, now=now).identity):
        services.lift_block(actor=cast.desk, block_id=lunch.id, now=now)
    # The whole morning is blocked, whatever else was.
    assert starts(cast.anna_user, clinic, now) == []
    with identity(staff_viewer(user=cast.desk, now=now).identity):
        services.lift_block(actor=cast.desk, block_id=done.blocks[0].id, now=now)
    assert len(starts(cast.anna_user, clinic, now)) == 6


def test_every_lane_is_blocked(cast: Cast, clinic: Surgery, now: datetime) -> None:
    clinic.doctor.lanes = 2
    clinic.doctor.save(update_fields=["lanes"])
    visit = book(cast.anna_user, clinic.opening(9), now)
    close(cast.desk, morning(clinic), cancelled(visit), now)
    assert starts(cast.brigid.user, clinic, now) == []


def test_who_is_here_already_is_left_alone(cast: Cast, clinic: Surgery, now: datetime) -> None:
    visit = book(cast.anna_user, clinic.opening(9), now)
    at = clinic.at(9, 5)
    viewer = staff_viewer(user=cast.desk, now=at)
    with identity(viewer.identity):
        services.change_status(viewer=viewer, appointment_id=visit.id, status="arrived", now=at)
    for closing in (
        doctor(clinic, clinic.at(9, 10), clinic.at(12)),
        Closing(clinic.at(9, 10), clinic.at(12), location_id=clinic.location.id),
    ):
        assert seen(cast.desk, closing, at).visits == []
        close(cast.desk, closing, {}, at)
    assert visit_now(visit).status == "arrived"
    assert starts(cast.brigid.user, clinic, at) == []


# --- keeping --------------------------------------------------------------------------------------


def test_a_visit_stays_when_only_its_buffer_is_in_the_way(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic, buffer_after_minutes=30)
    visit = book(cast.anna_user, clinic.opening(9), now)
    closing = doctor(clinic, clinic.at(9, 30), clinic.at(12))
    (shown,) = seen(cast.desk, closing, now).visits
    assert shown.may_keep
    done = close(cast.desk, closing, kept(visit), now)
    assert (done.kept, done.moved, done.cancelled) == ([visit], [], [])
    assert visit_now(visit).version == visit.version
    with identity(system("booking")):
        spans = ResourceClaim.objects.filter(kind="block").values_list("during", flat=True)
        assert [(one.lower, one.upper) for one in spans] == [
            (clinic.at(10).astimezone(UTC), clinic.at(12).astimezone(UTC))
        ]


def test_a_visit_in_the_middle_cannot_stay(cast: Cast, clinic: Surgery, now: datetime) -> None:
    visit = book(cast.anna_user, clinic.opening(9), now)
    for closing in (morning(clinic), site(clinic)):
        (shown,) = seen(cast.desk, closing, now).visits
        assert not shown.may_keep
        with pytest.raises(services.CannotKeep) as refusal:
            close(cast.desk, closing, kept(visit), now)
        assert refusal.value.extra == {"visit": visit.id}
    assert not Block.objects.exists()
    assert not SiteClosure.objects.exists()


@pytest.mark.parametrize("rooms", [1, 2])
def test_a_visit_stays_when_another_room_is_free(cast: Cast, now: datetime, rooms: int) -> None:
    clinic = surgery(cast.clinic, needs=("room",))
    made = [
        services.create_resource(
            organization=cast.clinic, kind="room", name=f"Room {n}", location=clinic.location
        )
        for n in range(rooms)
    ]
    visit = book(cast.anna_user, clinic.opening(9), now)
    with identity(system("booking")):
        hers = ResourceClaim.objects.filter(held_for=visit.id).exclude(resource=clinic.doctor)
        room = hers.get().resource
    closing = Closing(clinic.at(8), clinic.at(12), resource_ids=(room.id,))
    (shown,) = seen(cast.desk, closing, now).visits
    assert shown.may_keep == (rooms == 2)
    if rooms == 1:
        with pytest.raises(services.CannotKeep):
            close(cast.desk, closing, kept(visit), now)
        return
    close(cast.desk, closing, kept(visit), now)
    with identity(system("booking")):
        places = ResourceClaim.objects.filter(held_for=visit.id, active=True)
        assert {claim.resource_id for claim in places} == {
            clinic.doctor.id,
            next(one.id for one in made if one != room),
        }
    assert notices(cast, now) == []
