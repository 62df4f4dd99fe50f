"""Each constraint of the waitlist, broken in SQL; and what row security shows to whom."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from appointments.models import (
    Hold,
    VisitType,
    WaitlistEntry,
    WaitlistOffer,
    WaitlistWindow,
)
from core.db import Identity, identity, system
from patients.viewer import staff_viewer
from tests.appointments.factories import Surgery, surgery
from tests.appointments.waitlist import at, offers, tick, wait
from tests.cast import Cast
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db

WHEN = datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic)


@pytest.fixture
def entry(cast: Cast, clinic: Surgery, now: datetime) -> WaitlistEntry:
    return wait(cast.anna_user, clinic, now, windows=[at(9)], locations=[clinic.location.id])


@pytest.fixture
def offer(entry: WaitlistEntry, now: datetime) -> WaitlistOffer:
    tick(now)
    return offers()[0]


def broken(name: str, change: Callable[[], Any]) -> None:
    with (
        identity(system("booking")),
        pytest.raises(IntegrityError, match=f'"{name}"'),
        transaction.atomic(),
    ):
        change()


URGENT = {"urgency": "urgent", "urgency_reason": "pain", "urgency_set_at": WHEN}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("waitlist_entry_notice", {"minimum_notice_minutes": 43201}),
        ("waitlist_entry_urgent_for_a_reason", {"urgency": "stat"}),
        ("waitlist_entry_urgent_for_a_reason", {"urgency": "urgent"}),
        ("waitlist_entry_urgent_for_a_reason", URGENT),
        ("waitlist_entry_urgent_for_a_reason", {"urgency_reason": "pain"}),
        ("waitlist_entry_urgent_for_a_reason", {"urgency_set_at": WHEN}),
        ("waitlist_entry_urgent_for_a_reason", {"urgency_set_by": "her"}),
        (
            "waitlist_entry_urgent_for_a_reason",
            {**URGENT, "urgency_set_by": "her", "urgency_reason": ""},
        ),
        ("waitlist_entry_ended_somehow", {"status": "lost"}),
        ("waitlist_entry_ended_somehow", {"ended_at": WHEN}),
        ("waitlist_entry_ended_somehow", {"ending": "asked"}),
        ("waitlist_entry_ended_somehow", {"ended_by": "her"}),
        ("waitlist_entry_ended_somehow", {"status": "fulfilled", "ended_at": WHEN}),
        (
            "waitlist_entry_ended_somehow",
            {"status": "fulfilled", "ending": "offer-accepted"},
        ),
        (
            "waitlist_entry_ended_somehow",
            {"status": "withdrawn", "ended_at": WHEN, "ending": "asked"},
        ),
        (
            "waitlist_entry_ended_somehow",
            {"status": "withdrawn", "ended_at": WHEN, "ending": "deceased", "ended_by": "her"},
        ),
        (
            "waitlist_entry_ended_somehow",
            {"status": "expired", "ended_at": WHEN, "ending": "visit-over", "ended_by": "her"},
        ),
        (
            "waitlist_entry_ended_somehow",
            {"status": "expired", "ended_at": WHEN, "ending": "asked"},
        ),
        ("waitlist_entry_passed_over_at_a_time", {"passed_over": "paused"}),
        ("waitlist_entry_passed_over_at_a_time", {"passed_over_at": WHEN}),
    ],
)
def test_an_entry_is_whole(
    cast: Cast, entry: WaitlistEntry, name: str, values: dict[str, Any]
) -> None:
    values = {key: cast.anna_user if value == "her" else value for key, value in values.items()}
    broken(name, lambda: WaitlistEntry.objects.filter(id=entry.id).update(**values))


def copy(row: Any, **values: Any) -> Any:
    fields = {
        field.attname: getattr(row, field.attname)
        for field in row._meta.concrete_fields
        if not field.primary_key
    }
    return type(row)(**{**fields, **values})


def test_nobody_waits_twice_for_the_same(
    cast: Cast, clinic: Surgery, entry: WaitlistEntry, now: datetime
) -> None:
    from tests.appointments.factories import book

    broken("waitlist_entry_active_once", lambda: copy(entry).save())
    visit = book(cast.anna_user, clinic.opening(11), now)
    with identity(system("booking")):
        copy(entry, appointment_id=visit.id).save()
    broken(
        "waitlist_entry_active_once_for_visit",
        lambda: copy(entry, appointment_id=visit.id).save(),
    )


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (
            "waitlist_window_dates",
            {"first_on": date(2026, 11, 24), "last_on": date(2026, 11, 23)},
        ),
        ("waitlist_window_times", {"time_from": time(9), "time_until": time(9)}),
        ("waitlist_window_weekdays", {"iso_weekdays": [0]}),
        ("waitlist_window_weekdays", {"iso_weekdays": [7, 8]}),
    ],
)
def test_a_window_is_whole(entry: WaitlistEntry, name: str, values: dict[str, Any]) -> None:
    broken(name, lambda: WaitlistWindow.objects.create(entry=entry, **values))


def test_a_window_is_never_changed(entry: WaitlistEntry) -> None:
    with (
        identity(system("booking")),
        pytest.raises(DatabaseError, match="permission denied"),
        transaction.atomic(),
    ):
        WaitlistWindow.objects.update(time_from=None)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("waitlist_offer_leaves_time_to_answer", {"answer_until": "offered_at"}),
        ("waitlist_offer_rank", {"rank": 0}),
        ("waitlist_offer_bounded", {"during": DateTimeTZRange(WHEN, None)}),
        ("waitlist_offer_bounded", {"during": DateTimeTZRange(None, WHEN)}),
        ("waitlist_offer_bounded", {"during": DateTimeTZRange(empty=True)}),
        ("waitlist_offer_settled_when_over", {"settled_at": WHEN}),
        ("waitlist_offer_settled_when_over", {"status": "expired"}),
        ("waitlist_offer_answered_by_somebody", {"answered_by": "her"}),
        ("waitlist_offer_answered_by_somebody", {"answered_via": "patient"}),
        ("waitlist_offer_answered_by_somebody", {"status": "declined", "settled_at": WHEN}),
        (
            "waitlist_offer_answered_by_somebody",
            {"status": "declined", "settled_at": WHEN, "answered_by": "her"},
        ),
        (
            "waitlist_offer_answered_by_somebody",
            {
                "status": "expired",
                "settled_at": WHEN,
                "answered_by": "her",
                "answered_via": "patient",
            },
        ),
        (
            "waitlist_offer_answered_by_somebody",
            {"status": "lost", "settled_at": WHEN},
        ),
        (
            "waitlist_offer_accepted_is_a_visit",
            {
                "status": "accepted",
                "settled_at": WHEN,
                "answered_by": "her",
                "answered_via": "patient",
            },
        ),
    ],
)
def test_an_offer_is_whole(
    cast: Cast, offer: WaitlistOffer, name: str, values: dict[str, Any]
) -> None:
    known = {"her": cast.anna_user, "offered_at": offer.offered_at}
    values = {
        key: known.get(value, value) if isinstance(value, str) else value
        for key, value in values.items()
    }
    broken(name, lambda: WaitlistOffer.objects.filter(id=offer.id).update(**values))


def test_an_offer_that_is_no_visit_has_none(
    cast: Cast, clinic: Surgery, offer: WaitlistOffer, now: datetime
) -> None:
    from tests.appointments.factories import book

    visit = book(cast.anna_user, clinic.opening(11), now)
    broken(
        "waitlist_offer_accepted_is_a_visit",
        lambda: WaitlistOffer.objects.filter(id=offer.id).update(appointment=visit),
    )


def other_hold(offer: WaitlistOffer) -> Hold:
    kept = copy(offer.hold)
    kept.save()
    return kept


def test_one_offer_at_a_time_for_an_entry_and_for_each_moment(
    cast: Cast, clinic: Surgery, offer: WaitlistOffer, now: datetime
) -> None:
    later = DateTimeTZRange(clinic.at(11), clinic.at(12))
    broken(
        "waitlist_offer_open_once",
        lambda: copy(offer, hold_id=other_hold(offer).id, during=later).save(),
    )
    second = wait(cast.anna_user, surgery(cast.clinic), now)
    broken(
        "waitlist_offer_one_place_at_a_time",
        lambda: copy(offer, hold_id=other_hold(offer).id, entry_id=second.id).save(),
    )
    with identity(system("booking")):
        copy(offer, hold_id=other_hold(offer).id, entry_id=second.id, during=later).save()
    broken(
        "appointments_waitlistoffer_hold_id_key",
        lambda: copy(offer, status="expired", settled_at=WHEN).save(),
    )


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("visit_type_waitlist_answer", {"waitlist_answer_minutes": 14}),
        ("visit_type_waitlist_answer", {"waitlist_answer_minutes": 2881}),
        ("visit_type_waitlist_order", {"waitlist_order": "surname"}),
    ],
)
def test_the_rules_of_a_visit_type_are_bounded(
    clinic: Surgery, name: str, values: dict[str, Any]
) -> None:
    kinds = VisitType.objects.filter(id=clinic.visit_type.id)
    broken(name, lambda: kinds.update(**values))
    for minutes in (15, 2880):
        kinds.update(waitlist_answer_minutes=minutes)


MODELS = (WaitlistEntry, WaitlistWindow, WaitlistOffer, WaitlistEntry.locations.through)


def test_row_security_shows_them_to_her_and_to_her_clinic(
    cast: Cast, offer: WaitlistOffer, now: datetime
) -> None:
    labs_only = Identity("patient", cast.anna_user.pk, cast.anna.id, frozenset({"labs"}))
    for who, seen in (
        (viewer_of(cast.anna_user).identity, 1),
        (staff_viewer(user=cast.desk, now=now).identity, 1),
        (viewer_of(cast.brigid.user).identity, 0),
        (staff_viewer(user=cast.other_nurse, now=now).identity, 0),
        (labs_only, 0),
        (system("lab-intake"), 0),
    ):
        with identity(who):
            for model in MODELS:
                assert model._default_manager.count() == seen, (who.kind, model)
    for model in MODELS:
        assert model._default_manager.count() == 0, "nobody"


def test_nobody_writes_into_the_line_of_somebody_else(
    cast: Cast, offer: WaitlistOffer, entry: WaitlistEntry
) -> None:
    with identity(viewer_of(cast.brigid.user).identity):
        for model in (WaitlistEntry, WaitlistOffer):
            assert model._default_manager.update(status="withdrawn") == 0
        for row in (
            copy(entry, visit_type_id=surgery(cast.clinic).visit_type.id),
            WaitlistWindow(entry=entry),
        ):
            with pytest.raises(DatabaseError, match="row-level security"), transaction.atomic():
                row.save(force_insert=True)


def test_the_time_of_an_offer_is_no_hold_that_she_may_renew_or_book(
    cast: Cast, offer: WaitlistOffer, now: datetime
) -> None:
    from appointments import services
    from core.errors import NotFound

    viewer = viewer_of(cast.anna_user)
    for act in (services.renew, services.release, services.book_held):
        with identity(viewer.identity), pytest.raises(NotFound):
            act(viewer=viewer, hold_id=offer.hold_id, now=now + timedelta(minutes=1))
