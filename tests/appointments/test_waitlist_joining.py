"""Who joins the line, for what, and who leaves it."""

from datetime import date, datetime, time, timedelta
from uuid import uuid4

import pytest

from appointments import services
from appointments.models import VisitType, WaitlistEntry
from appointments.waiting import Window
from core.db import identity, system
from core.errors import InvalidInput, NotFound
from core.models import Change
from patients.viewer import staff_viewer
from tests.appointments.factories import MONDAY, Surgery, book, cancel, surgery
from tests.appointments.waitlist import (
    at,
    entry_now,
    leave,
    tick,
    wait,
    wait_for,
)
from tests.cast import Cast
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NINE = at(9)


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic)


def test_she_waits_for_a_visit(cast: Cast, clinic: Surgery, now: datetime) -> None:
    made = wait(
        cast.anna_user,
        clinic,
        now,
        windows=[NINE, Window(iso_weekdays=frozenset({4, 2}))],
        locations=[clinic.location.id],
        minimum_notice=2 * HOUR,
    )
    with identity(system("booking")):
        entry = WaitlistEntry.objects.get(id=made.id)
        windows = list(entry.windows.order_by("first_on").values_list("first_on", "iso_weekdays"))
        places = [place.id for place in entry.locations.all()]
        feed = Change.objects.get(resource="WaitlistEntry")
    assert (entry.status, entry.urgency, entry.made_via) == ("active", "routine", "patient")
    assert entry.made_by_id == cast.anna_user.pk
    assert entry.minimum_notice_minutes == 120
    assert windows == [(MONDAY, []), (None, [2, 4])]
    assert places == [clinic.location.id]
    assert (feed.patient_id, feed.resource_id) == (cast.anna.id, entry.id)


def test_she_waits_once_for_a_kind_and_once_for_each_visit(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    visit = book(cast.anna_user, clinic.opening(11), now)
    first = wait(cast.anna_user, clinic, now)
    with pytest.raises(services.AlreadyWaiting) as refusal:
        wait(cast.anna_user, clinic, now)
    assert refusal.value.extra == {"entry": str(first.id)}
    second = wait(cast.anna_user, clinic, now, visit=visit)
    with pytest.raises(services.AlreadyWaiting) as refusal:
        wait(cast.anna_user, clinic, now, visit=visit)
    assert refusal.value.extra == {"entry": str(second.id)}
    leave(cast.anna_user, first, now)
    wait(cast.anna_user, clinic, now)
    wait(cast.brigid.user, clinic, now)


def test_the_visit_must_be_her_own_booked_one_of_that_kind(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    strangers = book(cast.brigid.user, clinic.opening(10), now)
    with pytest.raises(NotFound):
        wait(cast.anna_user, clinic, now, visit=strangers)
    hers = book(cast.anna_user, clinic.opening(11), now)
    with pytest.raises(services.OtherVisitType):
        wait(cast.anna_user, surgery(cast.clinic), now, visit=hers)
    with pytest.raises(services.StatusConflict):
        wait(cast.anna_user, clinic, clinic.at(11), visit=hers)
    cancel(cast.anna_user, hers.id, now)
    with pytest.raises(services.StatusConflict):
        wait(cast.anna_user, clinic, now, visit=hers)


def test_unknown_and_foreign_kinds_and_places_are_not_found(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    elsewhere = surgery(cast.other_clinic)
    with pytest.raises(NotFound):
        wait(cast.anna_user, elsewhere, now)
    for place in (elsewhere.location.id, uuid4()):
        with pytest.raises(NotFound):
            wait(cast.anna_user, clinic, now, locations=[clinic.location.id, place])


@pytest.mark.parametrize("policy", ["view", "request", "ticket"])
def test_the_line_is_no_way_around_asking_for_a_visit(
    cast: Cast, now: datetime, policy: str
) -> None:
    clinic = surgery(cast.clinic)
    visit = book(cast.anna_user, clinic.opening(11), now)
    VisitType.objects.filter(id=clinic.visit_type.id).update(booking_policy=policy)
    with pytest.raises(services.NotSelfBookable):
        wait(cast.anna_user, clinic, now)
    wait(cast.anna_user, clinic, now, visit=visit)
    wait_for(cast.desk, cast.brigid.id, clinic, now)


def test_a_kind_without_waitlist_has_none(cast: Cast, now: datetime) -> None:
    with pytest.raises(services.NoWaitlist):
        wait(cast.anna_user, surgery(cast.clinic, waitlist_open=False), now)


@pytest.mark.parametrize(
    ("window", "code"),
    [
        (Window(first_on=date(2026, 11, 23), last_on=date(2026, 11, 22)), "before-from"),
        (Window(last_on=date(2026, 11, 21)), "past"),
        (Window(last_on=date(2026, 11, 22)), None),
        (Window(time_from=time(12), time_until=time(12)), "before-from"),
        (Window(iso_weekdays=frozenset({0})), "not-a-weekday"),
        (Window(first_on=date(2026, 11, 23)), None),
        (Window(first_on=date(2026, 11, 24)), "after-visit"),
    ],
)
def test_a_window_that_can_never_hold_is_refused(
    cast: Cast, clinic: Surgery, now: datetime, window: Window, code: str | None
) -> None:
    visit = book(cast.anna_user, clinic.opening(11), now)
    if code is None:
        wait(cast.anna_user, clinic, now, visit=visit, windows=[window])
        return
    with pytest.raises(InvalidInput) as refusal:
        wait(cast.anna_user, clinic, now, visit=visit, windows=[window])
    assert [(error.field, error.code) for error in refusal.value.errors] == [("windows.0", code)]


def test_too_much_is_refused(cast: Cast, clinic: Surgery, now: datetime) -> None:
    for more in ({"windows": [Window()] * 11}, {"minimum_notice": timedelta(days=30, minutes=1)}):
        with pytest.raises(InvalidInput):
            wait(cast.anna_user, clinic, now, **more)
    wait(cast.anna_user, clinic, now, windows=[Window()] * 10, minimum_notice=timedelta(days=30))


def test_only_staff_call_it_urgent_and_say_why(cast: Cast, clinic: Surgery, now: datetime) -> None:
    hers = wait(cast.anna_user, clinic, now, urgency_reason="I say so")
    assert entry_now(hers).urgency == "routine"
    patient, desk = viewer_of(cast.anna_user), staff_viewer(user=cast.desk, now=now)
    with identity(patient.identity), pytest.raises(NotFound):
        services.set_urgency(viewer=patient, entry_id=hers.id, reason="pain", now=now)
    with identity(desk.identity):
        services.set_urgency(viewer=desk, entry_id=hers.id, reason="pain", now=now)
    entry = entry_now(hers)
    assert (entry.urgency, entry.urgency_reason) == ("urgent", "pain")
    assert (entry.urgency_set_by_id, entry.urgency_set_at) == (cast.desk.pk, now)
    with identity(desk.identity):
        services.set_urgency(viewer=desk, entry_id=hers.id, reason="", now=now)
    assert entry_now(hers).urgency_set_by_id is None
    added = wait_for(cast.desk, cast.brigid.id, clinic, now, urgency_reason="fever")
    assert (entry_now(added).urgency, entry_now(added).made_via) == ("urgent", "staff")


def test_staff_of_another_clinic_reach_nothing(cast: Cast, clinic: Surgery, now: datetime) -> None:
    entry = wait(cast.anna_user, clinic, now)
    other = staff_viewer(user=cast.other_nurse, now=now)
    with pytest.raises(NotFound):
        wait_for(cast.other_nurse, cast.anna.id, clinic, now)
    with identity(other.identity):
        assert not WaitlistEntry.objects.exists()
        for act in (services.leave, services.set_urgency):
            more = {"reason": "x"} if act is services.set_urgency else {}
            with pytest.raises(NotFound):
                act(viewer=other, entry_id=entry.id, now=now, **more)


def test_leaving_twice_is_no_error_and_what_is_over_stays_over(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    entry = wait(cast.anna_user, clinic, now)
    for _ in range(2):
        leave(cast.anna_user, entry, now)
    after = entry_now(entry)
    assert (after.status, after.ending, after.ended_by_id) == (
        "withdrawn",
        "asked",
        cast.anna_user.pk,
    )
    with pytest.raises(NotFound):
        leave(cast.brigid.user, entry, now)
    past = wait(cast.anna_user, clinic, now, windows=[NINE])
    tick(clinic.at(9) + DAY)
    assert entry_now(past).ending == "windows-over"
    with pytest.raises(services.NotWaiting):
        leave(cast.anna_user, past, now + 2 * DAY)
