"""A clinician's ticket lets her book herself: its dates, its uses, and nobody else's."""

from collections import Counter
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.db import DatabaseError, IntegrityError, connection, transaction

from accounts.models import User
from appointments import services
from appointments.models import Appointment, Ticket
from core.db import identity, system
from core.errors import Forbidden, InvalidInput, NotFound
from patients.models import CareTeamMember
from tests.appointments.factories import MONDAY, Surgery, book, cancel, hours, surgery
from tests.appointments.orders import as_staff, order, starts
from tests.appointments.test_holds import hold
from tests.appointments.test_moving import move
from tests.appointments.test_race import at_once
from tests.cast import START, Cast
from tests.tokens import api_of, viewer_of

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic, booking_policy="ticket")


def stored(visit: Appointment) -> Appointment:
    with identity(system("registration")):
        return Appointment.objects.get(id=visit.id)


def book_with(user: User, opening: str, ticket_id: UUID, now: datetime) -> Appointment:
    viewer = viewer_of(user)
    with identity(viewer.identity):
        return services.book(viewer=viewer, opening=opening, ticket_id=ticket_id, now=now)


def void(cast: Cast, ticket: Ticket, now: datetime) -> Ticket:
    viewer = as_staff(cast.clinician, now)
    with identity(viewer.identity):
        return services.cancel_ticket(
            viewer=viewer, ticket_id=ticket.id, reason="No longer needed", now=now
        )


def test_without_a_ticket_she_sees_and_books_nothing(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    assert starts(cast.anna_user, clinic.visit_type.id, now) == []
    with pytest.raises(services.NotSelfBookable) as refusal:
        book(cast.anna_user, clinic.opening(9), now)
    assert refusal.value.extra == {"booking_policy": "ticket"}


def test_with_a_ticket_she_sees_its_days_only(cast: Cast, clinic: Surgery, now: datetime) -> None:
    order(cast, clinic, now, earliest=MONDAY + DAY, latest=MONDAY + 2 * DAY)
    days = {start.date() for start in starts(cast.anna_user, clinic.visit_type.id, now)}
    assert days == {MONDAY + DAY, MONDAY + 2 * DAY}


def test_two_tickets_with_a_gap_leave_the_gap(cast: Cast, clinic: Surgery, now: datetime) -> None:
    order(cast, clinic, now, latest=MONDAY)
    order(cast, clinic, now, earliest=MONDAY + 2 * DAY, latest=MONDAY + 2 * DAY)
    days = {start.date() for start in starts(cast.anna_user, clinic.visit_type.id, now)}
    assert days == {MONDAY, MONDAY + 2 * DAY}


def test_she_books_with_it_once(cast: Cast, clinic: Surgery, now: datetime) -> None:
    ticket = order(cast, clinic, now)
    visit = stored(book(cast.anna_user, clinic.opening(9), now))
    assert (visit.ticket_id, visit.ticket_use) == (ticket.id, 1)
    with pytest.raises(services.TicketUsed) as refusal:
        book(cast.anna_user, clinic.opening(10), now)
    assert refusal.value.code == "ticket-used"


def test_a_cancelled_visit_gives_its_use_back(cast: Cast, clinic: Surgery, now: datetime) -> None:
    ticket = order(cast, clinic, now, uses=2)
    one = book(cast.anna_user, clinic.opening(9), now)
    two = book(cast.anna_user, clinic.opening(10), now)
    cancel(cast.anna_user, one.id, now)
    again = stored(book(cast.anna_user, clinic.opening(11), now))
    assert [stored(two).ticket_use, again.ticket_use] == [2, 1]
    assert again.ticket_id == ticket.id
    with pytest.raises(services.TicketUsed):
        book(cast.anna_user, clinic.opening(11, 30), now)


@pytest.mark.parametrize(
    ("day", "code"),
    [(-1, "ticket-dates"), (0, ""), (1, ""), (2, "ticket-dates")],
)
def test_the_dates_of_a_ticket_are_included(
    cast: Cast, clinic: Surgery, now: datetime, day: int, code: str
) -> None:
    first = MONDAY + 2 * DAY
    order(cast, clinic, now, earliest=first, latest=first + DAY)
    opening = clinic.opening(9, on=first + day * DAY)
    if not code:
        book(cast.anna_user, opening, now)
        return
    with pytest.raises(services.TicketDates) as refusal:
        book(cast.anna_user, opening, now)
    assert refusal.value.code == code
    assert {offer.opening.starts_at.date() for offer in refusal.value.alternatives} == {first}
    assert refusal.value.extra == {"tickets": [{"earliest": first, "latest": first + DAY}]}


@pytest.mark.parametrize(
    ("zone", "hour", "on"),
    [
        ("America/New_York", 20, date(2026, 11, 23)),
        ("America/Phoenix", 22, date(2026, 11, 23)),
        ("Australia/Lord_Howe", 7, date(2026, 11, 24)),
        ("Asia/Kolkata", 1, date(2026, 11, 24)),
        ("Europe/Berlin", 0, date(2026, 11, 24)),
    ],
)
def test_a_day_is_the_day_at_the_place(
    cast: Cast, clinic: Surgery, now: datetime, zone: str, hour: int, on: date
) -> None:
    """Each of these starts on another date in UTC than on the wall of the place."""
    place = services.create_location(organization=cast.clinic, name=zone, zone=zone)
    doctor = services.create_resource(
        organization=cast.clinic, kind="practitioner", name="Dr Weit", location=place
    )
    schedule = hours(
        doctor, place, [clinic.visit_type], starts=time(hour), ends=time(hour, 30), step=30
    )
    clinic.location, clinic.schedule = place, schedule
    order(cast, clinic, now, earliest=on, latest=on)
    assert clinic.at(hour, on=on) in starts(cast.anna_user, clinic.visit_type.id, now)
    assert clinic.at(hour, on=on).astimezone(now.tzinfo).date() != on
    book(cast.anna_user, clinic.opening(hour, on=on), now)
    order(cast, clinic, now, earliest=on + 6 * DAY, latest=on + 6 * DAY)
    with pytest.raises(services.TicketDates):
        book(cast.anna_user, clinic.opening(hour, on=on + DAY), now)


def test_a_cancelled_ticket_is_none(cast: Cast, clinic: Surgery, now: datetime) -> None:
    ticket = order(cast, clinic, now, uses=2)
    visit = book(cast.anna_user, clinic.opening(9), now)
    void(cast, ticket, now)
    assert starts(cast.anna_user, clinic.visit_type.id, now) == []
    for refused in (
        lambda: book(cast.anna_user, clinic.opening(10), now),
        lambda: book_with(cast.anna_user, clinic.opening(10), ticket.id, now),
        lambda: move(cast.anna_user, visit.id, clinic.opening(10), now),
    ):
        with pytest.raises(services.NotSelfBookable):
            refused()
    assert stored(visit).status == "booked"
    with pytest.raises(services.NotOpen):
        void(cast, ticket, now)


def test_an_expired_ticket_is_none(cast: Cast, clinic: Surgery, now: datetime) -> None:
    order(cast, clinic, now, latest=MONDAY)
    late = datetime(2026, 11, 23, 22, 59, 59, tzinfo=now.tzinfo)
    with pytest.raises(services.TicketDates):
        book(cast.anna_user, clinic.opening(9, on=MONDAY + DAY), late)
    with pytest.raises(services.NotSelfBookable):
        book(cast.anna_user, clinic.opening(9, on=MONDAY + DAY), late + timedelta(seconds=1))


def test_a_strangers_ticket_helps_nobody(cast: Cast, clinic: Surgery, now: datetime) -> None:
    with identity(system("registration")):
        CareTeamMember.objects.create(
            patient=cast.brigid, user=cast.clinician, role="clinician", valid_from=START
        )
    ticket = order(cast, clinic, now, patient=cast.brigid)
    with pytest.raises(services.NotSelfBookable):
        book(cast.anna_user, clinic.opening(9), now)
    for unknown in (ticket.id, uuid4()):
        with pytest.raises(NotFound):
            book_with(cast.anna_user, clinic.opening(9), unknown, now)


def test_a_ticket_for_another_kind_of_visit_is_none(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    other = surgery(cast.clinic, booking_policy="ticket")
    ticket = order(cast, other, now)
    with pytest.raises(services.NotSelfBookable):
        book_with(cast.anna_user, clinic.opening(9), ticket.id, now)


def test_the_ticket_that_ends_first_is_used_first(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    later = order(cast, clinic, now, latest=MONDAY + 5 * DAY)
    sooner = order(cast, clinic, now, latest=MONDAY + 2 * DAY)
    assert stored(book(cast.anna_user, clinic.opening(9), now)).ticket_id == sooner.id
    assert stored(book(cast.anna_user, clinic.opening(10), now)).ticket_id == later.id


def test_a_named_ticket_is_the_one_used(cast: Cast, clinic: Surgery, now: datetime) -> None:
    later = order(cast, clinic, now, latest=MONDAY + 5 * DAY)
    order(cast, clinic, now)
    visit = stored(book_with(cast.anna_user, clinic.opening(9), later.id, now))
    assert visit.ticket_id == later.id


def test_she_moves_within_the_dates_and_keeps_the_use(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    ticket = order(cast, clinic, now)
    visit = book(cast.anna_user, clinic.opening(9), now)
    # The use is gone, but she is shown where she may move to.
    assert clinic.at(9, on=MONDAY + DAY) in starts(cast.anna_user, clinic.visit_type.id, now)
    moved = stored(move(cast.anna_user, visit.id, clinic.opening(9, on=MONDAY + DAY), now))
    assert (moved.ticket_id, moved.ticket_use, moved.sequence) == (ticket.id, 1, 1)
    with pytest.raises(services.TicketDates):
        move(cast.anna_user, visit.id, clinic.opening(9, on=MONDAY + 2 * DAY), now)


def test_a_visit_that_the_clinic_booked_is_the_clinics_to_move(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    viewer = as_staff(cast.nurse, now)
    with identity(viewer.identity):
        visit = services.book(
            viewer=viewer, patient_id=cast.anna.id, opening=clinic.opening(9), now=now
        )
    assert stored(visit).ticket_id is None
    order(cast, clinic, now)
    with pytest.raises(services.NotSelfBookable):
        move(cast.anna_user, visit.id, clinic.opening(10), now)


def test_a_hold_needs_the_ticket_and_booking_it_uses_it(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    with pytest.raises(services.NotSelfBookable):
        hold(cast.anna_user, clinic.opening(9), now)
    ticket = order(cast, clinic, now)
    one = hold(cast.anna_user, clinic.opening(9), now)
    two = hold(cast.anna_user, clinic.opening(10), now)
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        visit = services.book_held(viewer=viewer, hold_id=one.id, now=now)
    assert stored(visit).ticket_id == ticket.id
    with identity(viewer.identity), pytest.raises(services.TicketUsed):
        services.book_held(viewer=viewer, hold_id=two.id, now=now)
    # The second hold is still hers: she may move to it.
    with identity(viewer.identity):
        services.reschedule_held(viewer=viewer, appointment_id=visit.id, hold_id=two.id, now=now)
    assert stored(visit).starts_at == clinic.at(10)


def test_a_ticket_cancelled_meanwhile_books_no_held_time(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    ticket = order(cast, clinic, now)
    kept = hold(cast.anna_user, clinic.opening(9), now)
    void(cast, ticket, now)
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity), pytest.raises(services.NotSelfBookable):
        services.book_held(viewer=viewer, hold_id=kept.id, now=now)


def test_a_used_ticket_with_nothing_ahead_opens_nothing(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    order(cast, clinic, now)
    book(cast.anna_user, clinic.opening(9), now)
    after = clinic.at(9) + timedelta(minutes=1)
    assert starts(cast.anna_user, clinic.visit_type.id, after) == []
    with pytest.raises(services.TicketUsed):
        hold(cast.anna_user, clinic.opening(11), after)


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_two_bookings_at_once_on_the_last_use(cast: Cast, clinic: Surgery, now: datetime) -> None:
    def outcome(result: Any) -> str:
        return "won" if isinstance(result, Appointment) else type(result).__name__

    for number in range(5):
        on = MONDAY + number * DAY
        order(cast, clinic, now, earliest=on, latest=on)
        results = at_once(
            [
                lambda hour=hour: book(cast.anna_user, clinic.opening(hour, on=on), now)  # type: ignore[misc] # noqa: B023
                for hour in (9, 10, 11)
            ]
        )
        assert Counter(map(outcome, results)) == {"won": 1, "TicketUsed": 2}
    with identity(system("registration")):
        assert Appointment.objects.count() == 5


# --- who orders -----------------------------------------------------------------------------------


def test_only_a_clinician_of_her_care_team_orders(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    asked = {
        "patient_id": cast.anna.id,
        "visit_type_id": clinic.visit_type.id,
        "earliest": MONDAY,
        "latest": MONDAY,
        "now": now,
    }
    with identity(system("registration")):
        others = as_staff(cast.nurse, now), as_staff(cast.desk, now)
    for viewer in others:
        with identity(viewer.identity), pytest.raises(Forbidden):
            services.order_ticket(viewer=viewer, **asked)
    anna = viewer_of(cast.anna_user)
    with identity(anna.identity), pytest.raises(NotFound):
        services.order_ticket(viewer=anna, **asked)
    clara = as_staff(cast.clinician, now)
    with identity(clara.identity), pytest.raises((NotFound, DatabaseError)):
        services.order_ticket(viewer=clara, **{**asked, "patient_id": cast.brigid.id})


def test_any_staff_give_a_ticket_for_a_visit_that_the_clinic_cancelled(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    viewer = as_staff(cast.desk, now)
    with identity(viewer.identity):
        ticket = services.give_rebooking_ticket(
            viewer=viewer,
            patient_id=cast.anna.id,
            visit_type_id=clinic.visit_type.id,
            earliest=MONDAY,
            latest=MONDAY,
            now=now,
        )
    assert (ticket.origin, ticket.uses) == ("clinic-change", 1)
    book(cast.anna_user, clinic.opening(9), now)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"latest": MONDAY - DAY}, "before-earliest"),
        ({"earliest": date(2026, 11, 1), "latest": date(2026, 11, 20)}, "past"),
        ({"latest": MONDAY + 800 * DAY}, "too-far"),
        ({"uses": 0}, "out-of-range"),
        ({"uses": 53}, "out-of-range"),
    ],
)
def test_what_makes_no_sense_is_not_ordered(
    cast: Cast, clinic: Surgery, now: datetime, changed: dict[str, Any], code: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        order(cast, clinic, now, **changed)
    assert refusal.value.errors[0].code == code


def test_a_ticket_for_what_needs_none_is_refused(cast: Cast, now: datetime) -> None:
    with pytest.raises(InvalidInput) as refusal:
        order(cast, surgery(cast.clinic), now)
    assert refusal.value.errors[0].code == "no-ticket-needed"


# --- walls ----------------------------------------------------------------------------------------


def test_she_writes_no_ticket_for_herself(cast: Cast, clinic: Surgery, now: datetime) -> None:
    with (
        identity(viewer_of(cast.anna_user).identity),
        pytest.raises(DatabaseError),
        transaction.atomic(),
    ):
        Ticket.objects.create(
            patient=cast.anna,
            visit_type=clinic.visit_type,
            ordered_at=now,
            ordered_by=cast.anna_user,
            earliest=MONDAY,
            latest=MONDAY,
        )


def test_nobody_rewrites_a_ticket(cast: Cast, clinic: Surgery, now: datetime) -> None:
    ticket = order(cast, clinic, now)
    with identity(system("registration")):
        for change in ({"uses": 9}, {"latest": MONDAY + 30 * DAY}, {"patient": cast.brigid}):
            with pytest.raises(DatabaseError), transaction.atomic():
                Ticket.objects.filter(id=ticket.id).update(**change)
        with pytest.raises(DatabaseError), transaction.atomic():
            Ticket.objects.filter(id=ticket.id).delete()


def test_a_use_beyond_the_ticket_or_of_anothers_is_refused_by_the_database(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    ticket = order(cast, clinic, now)
    visit = book(cast.anna_user, clinic.opening(9), now)
    order(cast, clinic, now)
    other = book(cast.anna_user, clinic.opening(10), now)
    foreign = surgery(cast.clinic)
    stranger = book(cast.brigid.user, foreign.opening(11), now)
    changes = (
        (visit, {"ticket_use": 2}, "appointment_ticket_allows"),
        (visit, {"ticket": None}, "appointment_ticket_has_a_use"),
        (visit, {"ticket_use": 0}, "appointment_ticket_has_a_use"),
        (other, {"ticket": ticket, "ticket_use": 1}, "appointment_ticket_use_once"),
        (stranger, {"ticket": ticket, "ticket_use": 1}, "appointment_ticket_allows"),
    )
    with identity(system("registration")):
        for row, change, name in changes:
            with pytest.raises(IntegrityError) as refused, transaction.atomic():
                Appointment.objects.filter(id=row.id).update(**change)
            assert refused.value.__cause__.diag.constraint_name == name  # type: ignore[union-attr]


# --- API ------------------------------------------------------------------------------------------


def test_she_reads_what_her_tickets_are_for(cast: Cast, clinic: Surgery, now: datetime) -> None:
    order(cast, clinic, now, latest=MONDAY + 9 * DAY, uses=2, note="Your scan before treatment.")
    old = order(cast, clinic, now)
    void(cast, old, now)
    with time_machine.travel(now, tick=False):
        api = api_of(cast.anna_user)
        first = api.post("patients/me/appointments", {"opening": clinic.opening(9)})
        assert first.status_code == 201
        items = api.get("patients/me/tickets").json()["items"]
        assert [(item["standing"], item["status"]) for item in items] == [
            ("open", "active"),
            ("cancelled", "revoked"),
        ]
        assert items[0]["text"] == (
            "You may book “Clinic visit” yourself 2 times, for a day from 23 November 2026 "
            "to 2 December 2026."
        )
        assert (items[0]["note"], items[0]["uses_left"]) == ("Your scan before treatment.", 1)
        refused = api.post(
            "patients/me/appointments", {"opening": clinic.opening(10, on=date(2026, 12, 3))}
        )
        assert (refused.status_code, refused.json()["code"]) == (409, "ticket-dates")
        assert refused.json()["alternatives"]
        named = {"opening": clinic.opening(10), "ticket": str(uuid4())}
        assert api.post("patients/me/appointments", named).status_code == 404
        assert api_of(cast.brigid.user).get("patients/me/tickets").json()["items"] == []
        assert api_of(cast.anna_user, "labs.read").get("patients/me/tickets").status_code == 403
        assert api_of(cast.dora).get(f"patients/{cast.anna.id}/tickets").status_code == 404


def test_the_note_is_not_readable_in_the_table(cast: Cast, clinic: Surgery, now: datetime) -> None:
    order(cast, clinic, now, note="Bones")
    with identity(system("registration")), connection.cursor() as cursor:
        cursor.execute("SELECT note FROM appointments_ticket")
        assert b"Bones" not in bytes(cursor.fetchone()[0])
