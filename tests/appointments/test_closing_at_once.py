"""Staff close while others close or patients book: real connections."""

from collections.abc import Callable
from datetime import date, datetime, timedelta

import pytest

from accounts.models import User
from appointments import services
from appointments.impact import AHEAD, Closing
from appointments.models import Appointment, Block, Hold, SiteClosure
from core.db import identity, system
from tests.appointments.closings import cancelled, close, doctor, moved, site
from tests.appointments.factories import MONDAY, Surgery, book, surgery
from tests.appointments.test_holds import book_held, hold
from tests.appointments.test_moving import move
from tests.appointments.test_race import crowd, no_overlaps
from tests.appointments.waitlist import offers, tick, visit_now, wait
from tests.cast import Cast, patient
from tests.together import together
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

TUESDAY = MONDAY + timedelta(days=1)
ROUNDS = 5
PLACES = ["site", "doctor"]


def closing_of(which: str, clinic: Surgery) -> Closing:
    return site(clinic) if which == "site" else doctor(clinic, clinic.at(0), clinic.at(23))


def is_closed(clinic: Surgery) -> bool:
    return (
        SiteClosure.objects.filter(location=clinic.location).exists()
        or Block.objects.filter(resource=clinic.doctor).exists()
    )


def inside(clinic: Surgery) -> int:
    """Return how many visits and live holds stand on Monday."""
    span = {"starts_at__lt": clinic.at(23), "ends_at__gt": clinic.at(0)}
    with identity(system("booking")):
        visits = Appointment.objects.filter(location=clinic.location, status__in=AHEAD, **span)
        holds = Hold.objects.filter(location=clinic.location, ended_at__isnull=True, **span)
        return visits.count() + holds.count()


def said(word: str, act: Callable[[], object]) -> Callable[[], str]:
    def run() -> str:
        act()
        return word

    return run


def closes(cast: Cast, which: str, clinic: Surgery, now: datetime) -> Callable[[], str]:
    return said("closed", lambda: close(cast.desk, closing_of(which, clinic), {}, now))


def someone(cast: Cast, number: int) -> User:
    with identity(system("registration")):
        made = patient(f"One{number}", "Viele", date(1960, 1, 1), f"88{number:04}", cast.clinic)
    assert made.user is not None
    return made.user


@pytest.mark.parametrize("which", PLACES)
def test_a_booking_meanwhile_is_seen_or_refused(cast: Cast, now: datetime, which: str) -> None:
    for number in range(ROUNDS):
        clinic = surgery(cast.clinic)
        who = someone(cast, number)
        found = together(
            [
                closes(cast, which, clinic, now),
                said("booked", lambda: book(who, clinic.opening(9), now)),  # noqa: B023
            ]
        )
        assert found in (
            ["closed", "opening-not-offered"],
            ["closed", "slot-taken"],
            ["booked", "closing-changed"],
        )
        assert (inside(clinic) == 0) == is_closed(clinic)
    assert no_overlaps()


@pytest.mark.parametrize("which", PLACES)
def test_a_hold_meanwhile_ends_or_becomes_a_visit_that_is_seen(
    cast: Cast, now: datetime, which: str
) -> None:
    for number in range(ROUNDS):
        clinic = surgery(cast.clinic)
        who = someone(cast, number)
        kept = hold(who, clinic.opening(9), now)
        found = together(
            [
                closes(cast, which, clinic, now),
                said("booked", lambda: book_held(who, kept.id, now)),  # noqa: B023
                said("too", lambda: hold(cast.anna_user, clinic.opening(11), now)),  # noqa: B023
            ]
        )
        assert ("closed" in found) != ("closing-changed" in found)
        assert ("closed" in found) == ("booked" not in found)
        if is_closed(clinic):
            assert inside(clinic) == 0
    assert no_overlaps()


@pytest.mark.parametrize("which", PLACES)
def test_an_offer_is_accepted_or_ends(cast: Cast, now: datetime, which: str) -> None:
    clinic = surgery(cast.clinic)
    wait(cast.anna_user, clinic, now)
    tick(now)
    (offer,) = offers()
    viewer = viewer_of(cast.anna_user)

    def accept() -> None:
        with identity(viewer.identity):
            services.accept(viewer=viewer, offer_id=offer.id, now=now)

    found = together([closes(cast, which, clinic, now), said("accepted", accept)])
    assert found in (["closed", "offer-over"], ["accepted", "closing-changed"])
    assert (inside(clinic) == 0) == is_closed(clinic)


@pytest.mark.parametrize("which", PLACES)
def test_a_visit_moved_in_meanwhile_is_seen_or_refused(
    cast: Cast, now: datetime, which: str
) -> None:
    for number in range(ROUNDS):
        clinic = surgery(cast.clinic)
        who = someone(cast, number)
        visit = book(who, clinic.opening(9, on=TUESDAY), now)
        found = together(
            [
                closes(cast, which, clinic, now),
                said("moved", lambda: move(who, visit.id, clinic.opening(9), now)),  # noqa: B023
            ]
        )
        assert found in (
            ["closed", "opening-not-offered"],
            ["closed", "slot-taken"],
            ["closing-changed", "moved"],
        )
        assert (inside(clinic) == 0) == is_closed(clinic)


@pytest.mark.parametrize("which", PLACES)
def test_she_moves_away_while_the_clinic_cancels(cast: Cast, now: datetime, which: str) -> None:
    for number in range(ROUNDS):
        clinic = surgery(cast.clinic)
        who = someone(cast, number)
        visit = book(who, clinic.opening(9), now)
        closing, to = closing_of(which, clinic), clinic.opening(9, on=TUESDAY)
        found = together(
            [
                said("closed", lambda: close(cast.desk, closing, cancelled(visit), now)),  # noqa: B023
                said("moved", lambda: move(who, visit.id, to, now)),  # noqa: B023
            ]
        )
        assert found in (["appointment-status", "closed"], ["closing-changed", "moved"])
        assert is_closed(clinic) == (visit_now(visit).status == "cancelled")


@pytest.mark.parametrize("which", PLACES)
def test_two_close_at_once_and_each_visit_is_decided_on_once(
    cast: Cast, now: datetime, which: str
) -> None:
    for number in range(ROUNDS):
        clinic = surgery(cast.clinic)
        visit = book(someone(cast, number), clinic.opening(9), now)
        closing = closing_of(which, clinic)
        found = together(
            [
                said("cancelled", lambda: close(cast.desk, closing, cancelled(visit), now)),  # noqa: B023
                said(
                    "moved",
                    lambda: close(
                        cast.nurse,
                        closing,  # noqa: B023
                        moved(visit, clinic.opening(9, on=TUESDAY)),  # noqa: B023
                        now,
                    ),
                ),
            ]
        )
        assert found in (["cancelled", "closing-changed"], ["closing-changed", "moved"])
        assert inside(clinic) == 0
        assert visit_now(visit).sequence == 1


@pytest.mark.parametrize("which", PLACES)
def test_a_crowd_books_while_two_close(cast: Cast, now: datetime, which: str) -> None:
    clinic = surgery(cast.clinic)
    people = [one.user for one in crowd(cast, 6)]
    steps = [
        said(
            "booked", lambda who=who, n=n: book(who, clinic.opening(9 + n // 2, 30 * (n % 2)), now)
        )  # type: ignore[misc]
        for n, who in enumerate(people)
    ]
    found = together([*steps, *[closes(cast, which, clinic, now)] * 2])
    assert set(found) <= {
        "booked",
        "closed",
        "closing-changed",
        "opening-not-offered",
        "slot-taken",
    }
    if "closed" in found:
        assert inside(clinic) == 0
        assert "booked" not in found
    else:
        assert inside(clinic) == found.count("booked") > 0
    assert no_overlaps()
