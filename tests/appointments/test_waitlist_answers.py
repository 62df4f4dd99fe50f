"""Accept and decline: what she gets, what she keeps, and exactly one of many at once."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from appointments import services
from appointments.models import (
    Appointment,
    AppointmentHistory,
    PatientClaim,
    ResourceClaim,
    VisitType,
    WaitlistEntry,
)
from core.db import identity, system
from core.errors import NotFound
from core.models import Event
from patients.models import CaregiverGrant
from patients.viewer import REACH_COLUMNS, Reach, Viewer, patient_viewer, staff_viewer
from tests.appointments.factories import Surgery, book, surgery
from tests.appointments.test_race import at_once, crowd, no_overlaps, outcome
from tests.appointments.waitlist import (
    A_MOMENT,
    accept,
    at,
    decline,
    deliver,
    entry_now,
    hold_of,
    leave,
    offers,
    taken_at,
    tick,
    visit_now,
    wait,
    wait_for,
)
from tests.cast import Cast

HOUR = timedelta(hours=1)
NINE = at(9)


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic)


def caregiver(cast: Cast) -> Viewer:
    """Dora, allowed to act in Anna's visits."""
    from django.db import connection

    with identity(system("registration")):
        CaregiverGrant.objects.filter(patient=cast.anna).update(
            scopes=["appointments.read", "appointments.write"]
        )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(REACH_COLUMNS)} FROM resolve_reach(%s, %s)",
            [cast.dora.pk, cast.anna.id],
        )
        row = cursor.fetchone()
    return patient_viewer(user=cast.dora, reach=Reach.of(row), token_scopes=None)


@pytest.mark.django_db
class TestAlone:
    def test_without_a_visit_she_gets_one(self, cast: Cast, clinic: Surgery, now: datetime) -> None:
        entry = wait(cast.anna_user, clinic, now, windows=[NINE])
        tick(now)
        later = now + HOUR
        answered = accept(cast.anna_user, offers()[0], later)
        assert answered.appointment is not None
        visit = visit_now(answered.appointment)
        assert (visit.starts_at, visit.status, visit.created_via) == (
            clinic.at(9),
            "booked",
            "patient",
        )
        (offer,) = offers()
        assert (offer.status, offer.settled_at, offer.appointment_id) == (
            "accepted",
            later,
            visit.id,
        )
        assert (offer.answered_by_id, offer.answered_via) == (cast.anna_user.pk, "patient")
        after = entry_now(entry)
        assert (after.status, after.ending, after.ended_at) == (
            "fulfilled",
            "offer-accepted",
            later,
        )
        assert taken_at(clinic, clinic.at(9), later) == ["booking"]
        assert hold_of(offer).ending == "booked"

    def test_with_a_visit_it_moves_and_the_old_time_is_offered_on(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        visit = book(cast.anna_user, clinic.opening(11), now)
        wait(cast.anna_user, clinic, now, visit=visit, windows=[NINE])
        waiting = wait(cast.brigid.user, clinic, now, windows=[at(11)])
        tick(now)
        (offer,) = offers()
        assert taken_at(clinic, clinic.at(11), now) == ["booking"]
        answered = accept(cast.anna_user, offer, now + HOUR)
        assert answered.appointment_id == visit.id
        moved = visit_now(visit)
        assert (moved.starts_at, moved.sequence, moved.booked_at) == (clinic.at(9), 1, now)
        assert taken_at(clinic, clinic.at(11), now) == []
        with identity(system("registration")):
            assert Event.objects.filter(type="appointments.rescheduled").count() == 1
        deliver(now + HOUR)
        (passed_on,) = offers(status="open")
        assert (passed_on.entry_id, passed_on.hold.starts_at) == (waiting.id, clinic.at(11))

    def test_it_may_be_accepted_until_its_last_instant_and_not_after(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        visit = book(cast.anna_user, clinic.opening(11), now)
        wait(cast.anna_user, clinic, now, visit=visit, windows=[NINE])
        tick(now)
        (offer,) = offers()
        with pytest.raises(services.OfferOver) as refusal:
            accept(cast.anna_user, offer, offer.answer_until)
        assert refusal.value.extra == {"offer_status": "expired"}
        assert refusal.value.alternatives[0].opening.starts_at == clinic.at(9)
        assert visit_now(visit).starts_at == clinic.at(11)
        accept(cast.anna_user, offer, offer.answer_until - A_MOMENT)
        assert visit_now(visit).starts_at == clinic.at(9)

    def test_no_cutoff_and_no_policy_makes_accepting_fail(self, cast: Cast, now: datetime) -> None:
        clinic = surgery(cast.clinic)
        visit = book(cast.anna_user, clinic.opening(11), now)
        wait(cast.anna_user, clinic, now, visit=visit, windows=[NINE])
        tick(now)
        VisitType.objects.filter(id=clinic.visit_type.id).update(
            cancel_cutoff_minutes=10_000, booking_policy="view", is_active=False
        )
        services.add_exception(schedule=clinic.schedule, on=NINE.first_on, kind="closed")  # type: ignore[arg-type]
        accept(cast.anna_user, offers()[0], now)
        assert visit_now(visit).starts_at == clinic.at(9)

    def test_a_second_answer_finds_it_over(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        wait(cast.anna_user, clinic, now, windows=[NINE])
        tick(now)
        (offer,) = offers()
        accept(cast.anna_user, offer, now)
        for act in (accept, decline):
            with pytest.raises(services.OfferOver) as refusal:
                act(cast.anna_user, offer, now)
            assert refusal.value.extra == {"offer_status": "accepted"}
        with identity(system("registration")):
            assert Appointment.objects.count() == 1

    def test_declining_frees_the_time_and_keeps_her_visit_and_place(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        visit = book(cast.anna_user, clinic.opening(11), now)
        entry = wait(cast.anna_user, clinic, now, visit=visit, windows=[NINE])
        tick(now)
        (offer,) = offers()
        for _ in range(2):
            decline(cast.anna_user, offer, now)
        assert offers()[0].status == "declined"
        assert visit_now(visit).starts_at == clinic.at(11)
        assert entry_now(entry).status == "active"
        assert taken_at(clinic, clinic.at(9), now) == []
        with pytest.raises(services.OfferOver):
            accept(cast.anna_user, offer, now)

    def test_it_may_be_declined_until_its_last_instant_and_not_after(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        wait(cast.anna_user, clinic, now, windows=[NINE])
        tick(now)
        (offer,) = offers()
        with pytest.raises(services.OfferOver):
            decline(cast.anna_user, offer, offer.answer_until)
        assert offers()[0].status == "open"
        decline(cast.anna_user, offer, offer.answer_until - A_MOMENT)
        assert offers()[0].status == "declined"

    def test_the_offer_of_somebody_else_does_not_exist(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        wait(cast.anna_user, clinic, now, windows=[NINE])
        tick(now)
        (offer,) = offers()
        for act in (accept, decline):
            with pytest.raises(NotFound):
                act(cast.brigid.user, offer, now)
        assert offers()[0].status == "open"

    def test_a_caregiver_accepts_for_her(self, cast: Cast, clinic: Surgery, now: datetime) -> None:
        dora = caregiver(cast)
        wait(cast.anna_user, clinic, now, windows=[NINE])
        tick(now)
        answered = accept(dora, offers()[0], now)
        assert (answered.answered_by_id, answered.answered_via) == (cast.dora.pk, "proxy")

    def test_staff_accept_for_her_on_the_phone(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        wait(cast.anna_user, clinic, now, windows=[NINE])
        tick(now)
        answered = accept(staff_viewer(user=cast.desk, now=now), offers()[0], now)
        assert answered.answered_via == "staff"

    def test_a_visit_cancelled_by_the_clinic_meanwhile_becomes_a_new_one(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        """Even before the event was delivered."""
        visit = book(cast.anna_user, clinic.opening(11), now)
        wait(cast.anna_user, clinic, now, visit=visit, windows=[NINE])
        tick(now)
        desk = staff_viewer(user=cast.desk, now=now)
        with identity(desk.identity):
            services.cancel(viewer=desk, appointment_id=visit.id, reason="prov", now=now)
        answered = accept(cast.anna_user, offers()[0], now)
        assert answered.appointment_id != visit.id
        assert visit_now(visit).status == "cancelled"

    def test_a_visit_that_is_earlier_meanwhile_stays(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        visit = book(cast.anna_user, clinic.opening(11), now)
        wait(cast.anna_user, clinic, now, visit=visit, windows=[at(9, 30)])
        tick(now)
        viewer = staff_viewer(user=cast.desk, now=now)
        with identity(viewer.identity):
            services.reschedule(
                viewer=viewer, appointment_id=visit.id, opening=clinic.opening(9), now=now
            )
        with pytest.raises(services.OfferOver):
            accept(cast.anna_user, offers()[0], now)
        assert visit_now(visit).starts_at == clinic.at(9)

    def test_another_visit_of_hers_at_that_time_is_told_plainly(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        other = surgery(cast.clinic)
        wait(cast.anna_user, clinic, now, windows=[NINE])
        tick(now)
        book(cast.anna_user, other.opening(9), now)
        with pytest.raises(services.PatientBusy):
            accept(cast.anna_user, offers()[0], now)
        assert offers()[0].status == "open"

    def test_two_resources_are_kept_and_taken_together(self, cast: Cast, now: datetime) -> None:
        clinic = surgery(cast.clinic, needs=("room",), buffer_after_minutes=10)
        services.create_resource(
            organization=cast.clinic, kind="room", name="Room 1", location=clinic.location
        )
        wait(cast.anna_user, clinic, now, windows=[NINE])
        tick(now)
        answered = accept(cast.anna_user, offers()[0], now)
        with identity(system("booking")):
            kinds = ResourceClaim.objects.filter(held_for=answered.appointment_id, active=True)
            assert list(kinds.values_list("kind", flat=True)) == ["booking", "booking"]
            assert not ResourceClaim.objects.filter(kind="hold", active=True).exists()

    def test_the_history_says_who_moved_it(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        visit = book(cast.anna_user, clinic.opening(11), now)
        wait(cast.anna_user, clinic, now, visit=visit, windows=[NINE])
        tick(now)
        accept(caregiver(cast), offers()[0], now)
        with identity(system("registration")):
            row = AppointmentHistory.objects.get(appointment=visit, action="reschedule")
        assert (row.actor_id, row.via) == (cast.dora.pk, "proxy")


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
class TestAtOnce:
    def facts(self) -> tuple[int, int]:
        """Return how many visits are booked and how much time of theirs is claimed."""
        with identity(system("registration")):
            booked = Appointment.objects.filter(status="booked").count()
            assert booked == PatientClaim.objects.filter(active=True).count()
            claims = ResourceClaim.objects.filter(active=True, kind="booking").count()
        assert no_overlaps()
        return booked, claims

    def test_she_and_her_caregiver_accept_at_once(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        dora = caregiver(cast)
        wait(cast.anna_user, clinic, now, windows=[NINE])
        tick(now)
        (offer,) = offers()
        results = at_once(
            [lambda who=who: accept(who, offer, now) for who in (cast.anna_user, dora) * 3]  # type: ignore[misc]
        )
        names = Counter(type(result).__name__ for result in results)
        assert names == {"WaitlistOffer": 1, "OfferOver": 5}
        assert self.facts() == (1, 1)

    def test_an_offer_wins_against_everybody_who_books_directly(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        people = crowd(cast, 6)
        visit = book(cast.anna_user, clinic.opening(11), now)
        wait(cast.anna_user, clinic, now, visit=visit, windows=[NINE])
        tick(now)
        (offer,) = offers()
        results = at_once(
            [
                lambda: accept(cast.anna_user, offer, now),
                *[lambda user=who.user: book(user, clinic.opening(9), now) for who in people],  # type: ignore[misc]
            ]
        )
        assert type(results[0]).__name__ == "WaitlistOffer"
        assert Counter(map(outcome, results[1:])) == {"SlotTaken": 6}
        assert self.facts() == (1, 1)
        assert visit_now(visit).starts_at == clinic.at(9)

    def test_at_its_end_it_goes_to_exactly_one(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        """One more accepts in time, the others book at the very instant at which it is over."""
        people = crowd(cast, 4)
        for number in range(4):
            start = at(9 + number // 2, 30 * (number % 2))
            opening = clinic.opening(9 + number // 2, 30 * (number % 2))
            entry = wait(cast.anna_user, clinic, now, windows=[start])
            tick(now)
            (offer,) = offers(status="open")
            end = offer.answer_until
            results = at_once(
                [
                    lambda offer=offer, end=end: accept(cast.anna_user, offer, end - A_MOMENT),  # type: ignore[misc]
                    lambda end=end: tick(end),  # type: ignore[misc]
                    *[
                        lambda user=who.user, o=opening, end=end: book(user, o, end)  # type: ignore[misc]
                        for who in people
                    ],
                ]
            )
            won = [type(result).__name__ for result in (results[0], *results[2:])]
            assert Counter(won)["WaitlistOffer"] + Counter(won)["Appointment"] == 1, results
            assert self.facts() == (number + 1, number + 1)
            if entry_now(entry).status == "active":
                leave(cast.anna_user, entry, now)

    def test_many_ticks_at_once_ask_one_person(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        people = crowd(cast, 4)
        first, *_ = [
            wait(who.user, clinic, now - (9 - n) * HOUR, windows=[NINE])
            for n, who in enumerate(people)
            if who.user is not None
        ]
        results = at_once([lambda: tick(now)] * 4)
        assert sum(result.offered for result in results) == 1
        (offer,) = offers()
        assert offer.entry_id == first.id
        for _ in range(3):
            (open_offer,) = offers(status="open")
            results = at_once([lambda end=open_offer.answer_until: tick(end)] * 3)  # type: ignore[misc]
            assert sum(result.offered for result in results) == 1, results
            assert sum(result.expired for result in results) == 1
        line = [entry.patient_id for entry in sorted_offers()]
        assert line == [who.id for who in people]

    def test_many_ticks_at_once_ask_everybody_once(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        people = crowd(cast, 5)
        for who in people:
            assert who.user is not None
            wait(who.user, clinic, now)
        results = at_once([lambda: tick(now)] * 4)
        assert sum(result.offered for result in results) == 5
        asked = offers(status="open")
        assert len({offer.patient_id for offer in asked}) == 5
        assert len({offer.hold.starts_at for offer in asked}) == 5
        assert no_overlaps()

    def test_a_tick_and_leaving_at_once_leave_no_offer_behind(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        for _ in range(6):
            entry = wait(cast.anna_user, clinic, now, windows=[NINE])
            results = at_once(
                [lambda: tick(now), lambda entry=entry: leave(cast.anna_user, entry, now)]  # type: ignore[misc]
            )
            assert isinstance(results[1], WaitlistEntry), results
            assert entry_now(entry).status == "withdrawn"
            assert offers(status="open") == []
            assert taken_at(clinic, clinic.at(9), now) == []

    def test_accepting_and_leaving_at_once_end_one_way(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        for number in range(4):
            start = at(9 + number // 2, 30 * (number % 2))
            entry = wait(cast.anna_user, clinic, now, windows=[start])
            tick(now)
            (offer,) = offers(status="open")
            at_once(
                [
                    lambda offer=offer: accept(cast.anna_user, offer, now),  # type: ignore[misc]
                    lambda entry=entry: leave(cast.anna_user, entry, now),  # type: ignore[misc]
                ]
            )
            with identity(system("booking")):
                status = type(offer).objects.get(id=offer.id).status
            assert (entry_now(entry).status, status) in {
                ("fulfilled", "accepted"),
                ("withdrawn", "withdrawn"),
            }
        self.facts()

    def test_a_freed_time_goes_to_the_line_or_to_one_who_books(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        people = crowd(cast, 4)
        wait(cast.anna_user, clinic, now, windows=[NINE])
        results: list[Any] = at_once(
            [
                lambda: tick(now),
                *[lambda user=who.user: book(user, clinic.opening(9), now) for who in people],  # type: ignore[misc]
            ]
        )
        won = Counter(map(outcome, results[1:]))["won"]
        assert results[0].offered + won == 1
        assert len(taken_at(clinic, clinic.at(9), now)) == 1

    def test_two_kinds_at_once_offer_her_no_two_visits_at_one_time(
        self, cast: Cast, clinic: Surgery, now: datetime
    ) -> None:
        others = [surgery(cast.clinic) for _ in range(3)]
        for kind in (clinic, *others):
            wait_for(cast.desk, cast.anna.id, kind, now, windows=[NINE])
        at_once([lambda: tick(now)] * 4)
        assert len(offers(status="open")) == 1


def sorted_offers() -> list[Any]:
    return sorted(offers(), key=lambda offer: offer.offered_at)
