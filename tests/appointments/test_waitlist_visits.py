"""What becomes of an entry and its offer when her visits change."""

from datetime import datetime, timedelta

import pytest

from appointments import services
from appointments.models import Appointment
from core.db import identity
from patients.viewer import staff_viewer
from tests.appointments.factories import Surgery, book, cancel, surgery
from tests.appointments.waitlist import (
    A_MOMENT,
    at,
    decline,
    deliver,
    entry_now,
    entry_of,
    leave,
    offers,
    taken_at,
    tick,
    wait,
)
from tests.cast import Cast
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NINE = at(9)


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic)


def test_a_cancelled_time_is_offered_by_its_bell(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = book(cast.brigid.user, clinic.opening(9), now)
    wait(cast.anna_user, clinic, now, windows=[NINE])
    deliver(now)
    assert offers() == []
    cancel(cast.brigid.user, visit.id, now)
    deliver(now)
    assert [offer.patient_id for offer in offers()] == [cast.anna.id]


def test_a_declined_time_is_offered_on_by_its_bell(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    wait(cast.anna_user, clinic, now - HOUR, windows=[NINE])
    wait(cast.brigid.user, clinic, now, windows=[NINE])
    tick(now)
    decline(cast.anna_user, offers()[0], now)
    deliver(now)
    assert [offer.patient_id for offer in offers(status="open")] == [cast.brigid.id]
    leave(cast.brigid.user, entry_of(cast.brigid), now)
    assert sorted(offer.status for offer in offers()) == ["declined", "withdrawn"]
    assert taken_at(clinic, clinic.at(9), now) == []


def test_cancelling_her_visit_ends_the_wish_for_an_earlier_one(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = book(cast.anna_user, clinic.opening(11), now)
    entry = wait(cast.anna_user, clinic, now, visit=visit)
    tick(now)
    cancel(cast.anna_user, visit.id, now)
    deliver(now)
    assert entry_now(entry).ending == "visit-over"
    assert offers()[0].status == "withdrawn"


def cancel_by_clinic(cast: Cast, visit: Appointment, now: datetime, reason: str) -> None:
    desk = staff_viewer(user=cast.desk, now=now)
    with identity(desk.identity):
        services.cancel(viewer=desk, appointment_id=visit.id, reason=reason, now=now)


@pytest.mark.parametrize(
    ("reason", "waits"),
    [("prov", True), ("other", True), ("maint", True), ("pat", False), ("oth-err", False)],
)
def test_cancelled_by_the_clinic_she_waits_on_for_any_visit(
    cast: Cast, clinic: Surgery, now: datetime, reason: str, waits: bool
) -> None:
    visit = book(cast.anna_user, clinic.opening(11), now)
    entry = wait(cast.anna_user, clinic, now, visit=visit, windows=[NINE])
    tick(now)
    cancel_by_clinic(cast, visit, now, reason)
    deliver(now)
    after = entry_now(entry)
    assert (after.status == "active") is waits
    assert [offer.status for offer in offers()] == ["open" if waits else "withdrawn"]
    assert waits is (after.appointment_id is None)


def test_moved_before_the_offer_the_offer_is_taken_back(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = book(cast.anna_user, clinic.opening(11), now)
    entry = wait(cast.anna_user, clinic, now, visit=visit, windows=[at(9, 30)])
    tick(now)
    viewer = viewer_of(cast.anna_user)
    for hour, minute, status in ((10, 0, "open"), (9, 0, "withdrawn")):
        with identity(viewer.identity):
            services.reschedule(
                viewer=viewer,
                appointment_id=visit.id,
                opening=clinic.opening(hour, minute),
                now=now,
            )
        deliver(now)
        assert offers()[0].status == status
    assert entry_now(entry).status == "active"


def test_a_visit_that_has_begun_ends_the_wish(cast: Cast, clinic: Surgery, now: datetime) -> None:
    visit = book(cast.anna_user, clinic.opening(11), now)
    entry = wait(cast.anna_user, clinic, now, visit=visit, windows=[NINE])
    assert tick(clinic.at(11) - A_MOMENT).ended == 0
    assert tick(clinic.at(11)).ended == 1
    assert entry_now(entry).ending == "visit-over"


def test_arriving_ends_the_wish(cast: Cast, clinic: Surgery, now: datetime) -> None:
    visit = book(cast.anna_user, clinic.opening(11), now)
    entry = wait(cast.anna_user, clinic, now, visit=visit, windows=[NINE])
    desk = staff_viewer(user=cast.desk, now=now)
    with identity(desk.identity):
        services.change_status(
            viewer=desk, appointment_id=visit.id, status="arrived", now=clinic.at(8)
        )
    assert tick(clinic.at(8)).ended == 1
    assert entry_now(entry).ending == "visit-over"


def test_a_visit_in_her_windows_fulfils_the_wish_and_another_is_to_be_earlier(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    entry = wait(cast.anna_user, clinic, now, windows=[at(9), at(9, 30)])
    later = book(cast.anna_user, clinic.opening(11), now)
    deliver(now)
    after = entry_now(entry)
    assert (after.status, after.appointment_id, after.made_at) == ("active", later.id, now)
    cancel(cast.anna_user, later.id, now)
    deliver(now)
    again = wait(cast.anna_user, clinic, now, windows=[NINE])
    tick(now)
    with pytest.raises(services.SlotTaken):
        book(cast.anna_user, clinic.opening(9), now)
    decline(cast.anna_user, offers(status="open")[0], now)
    book(cast.anna_user, clinic.opening(9), now)
    deliver(now)
    assert entry_now(again).ending == "booked-otherwise"


def test_another_visit_at_the_same_time_takes_the_offer_back(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    other = surgery(cast.clinic)
    wait(cast.anna_user, clinic, now, windows=[NINE])
    tick(now)
    book(cast.anna_user, other.opening(9, 30), now)
    deliver(now)
    assert offers()[0].status == "open"
    book(cast.anna_user, other.opening(9), now)
    deliver(now)
    assert offers()[0].status == "withdrawn"


@pytest.mark.parametrize(("hours", "over"), [(37, False), (38, True)])
def test_windows_end_by_the_clinics_calendar(
    cast: Cast, clinic: Surgery, now: datetime, hours: int, over: bool
) -> None:
    """Monday ends at midnight in Berlin: 38 hours after Sunday ten o'clock."""
    book(cast.brigid.user, clinic.opening(9), now)
    entry = wait(cast.anna_user, clinic, now, windows=[NINE])
    tick(now + timedelta(hours=hours))
    assert (entry_now(entry).status == "expired") is over
