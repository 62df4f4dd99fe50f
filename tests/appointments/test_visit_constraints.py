"""Constraints of visits, holds, eCheck-ins, links, feeds and plans, broken in SQL."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest

from appointments.models import (
    Appointment,
    CalendarFeed,
    CarePlan,
    ConsentText,
    Hold,
    PlannedVisit,
    PlanStep,
    PreVisit,
    PreVisitAnswer,
    VisitLink,
    VisitRequest,
    VisitType,
)
from core.db import identity, system
from tests.appointments.test_constraints import HOUR, NINE, Rows, refused
from tests.appointments.test_constraints import rows as rows

pytestmark = pytest.mark.django_db(databases=["default", "owner"])

Make = Callable[..., Any]
HASH, OTHER_HASH = "a" * 64, "b" * 64


def _hold(rows: Rows) -> Make:
    return _maker(
        rows,
        Hold,
        patient=rows.patient,
        schedule=rows.schedule,
        location=rows.location,
        visit_type=rows.visit_type,
        starts_at=NINE,
        ends_at=NINE + HOUR,
        zone="Europe/Berlin",
        made_at=NINE - HOUR,
        made_via="patient",
        expires_at=NINE,
    )


def _maker(rows: Rows, model: type[Any], **valid: Any) -> Make:
    return lambda **changes: rows.add(model, **{**valid, **changes})


def _consent(rows: Rows) -> Make:
    return _maker(
        rows,
        ConsentText,
        organization=rows.organization,
        code="treatment",
        version=1,
        title="Treatment",
        text="I agree.",
        valid_from=NINE,
    )


def _pre_visit(rows: Rows) -> Make:
    return lambda **changes: rows.add(
        PreVisit,
        **{
            "appointment": rows.appointment(),
            "patient": rows.patient,
            "sections": ["symptoms"],
            "began_at": NINE,
            **changes,
        },
    )


def _answer(rows: Rows) -> Make:
    return _maker(
        rows,
        PreVisitAnswer,
        pre_visit=_pre_visit(rows)(),
        patient=rows.patient,
        section="symptoms",
        answer=b"{}",
        answered_at=NINE,
        answered_by=rows.user,
        via="patient",
    )


def _link(rows: Rows) -> Make:
    return lambda **changes: rows.add(
        VisitLink,
        **{
            "appointment": rows.visit,
            "patient": rows.patient,
            "user": rows.user,
            "sequence": 0,
            "notification_id": uuid4(),
            "token_hash": uuid4().hex * 2,
            "made_at": NINE,
            "expires_at": NINE + HOUR,
            **changes,
        },
    )


def _feed(rows: Rows) -> Make:
    return lambda **changes: rows.add(
        CalendarFeed,
        **{
            "patient": rows.patient,
            "user": rows.user,
            "token_hash": uuid4().hex * 2,
            "made_at": NINE,
            **changes,
        },
    )


def _request(rows: Rows) -> Make:
    return _maker(
        rows,
        VisitRequest,
        patient=rows.patient,
        visit_type=rows.visit_type,
        made_at=NINE,
        made_by=rows.user,
        made_via="patient",
    )


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"ends_at": NINE}, "hold_start_before_end"),
        ({"zone": ""}, "hold_has_zone"),
        ({"expires_at": NINE - HOUR}, "hold_made_before_it_expires"),
        ({"ending": "booked"}, "hold_ended_somehow"),
        ({"ended_at": NINE}, "hold_ended_somehow"),
        ({"ended_at": NINE, "ending": "lost"}, "hold_ended_somehow"),
    ],
)
def test_holds(rows: Rows, changes: dict[str, Any], name: str) -> None:
    make = _hold(rows)
    refused(rows, name, lambda: make(**changes))
    make()
    make(ended_at=NINE, ending="released")


@pytest.mark.parametrize("status", ["booked", "checked-in", "noshow"])
def test_a_visit_has_started_only_once_she_is_there(rows: Rows, status: str) -> None:
    name = "appointment_started_after_arrival"
    refused(rows, name, lambda: rows.appointment(status=status, started_at=NINE))
    rows.appointment(status="arrived", started_at=NINE)


@pytest.mark.parametrize("half", ["confirmed_at", "confirmed_by"])
def test_a_visit_is_confirmed_by_somebody_at_a_time(rows: Rows, half: str) -> None:
    both = {"confirmed_at": NINE, "confirmed_by": rows.user}
    rows.appointment(**both)
    refused(
        rows, "appointment_confirmed_by_somebody", lambda: rows.appointment(**{half: both[half]})
    )


@pytest.mark.parametrize("hours", [0, 721])
def test_the_window_of_the_echeckin_has_bounds(rows: Rows, hours: int) -> None:
    found = VisitType.objects.using(rows.alias).filter(id=rows.visit_type.id)
    refused(rows, "visit_type_checkin_window", lambda: found.update(checkin_opens_hours=hours))
    for allowed in (1, 720):
        found.update(checkin_opens_hours=allowed)


def test_consent_texts(rows: Rows) -> None:
    make = _consent(rows)
    refused(rows, "consent_text_says_something", lambda: make(text=""))
    make()
    refused(rows, "consent_text_one_in_force", lambda: make(version=2))
    refused(rows, "consent_text_version_once", lambda: make(retired_at=NINE))
    make(version=2, retired_at=NINE)
    make(code="photographs")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"sections": []}, "pre_visit_sections_known"),
        ({"sections": ["symptoms", "shoe size"]}, "pre_visit_sections_known"),
        ({"completed_at": NINE}, "pre_visit_completed_by_somebody"),
    ],
)
def test_echeckins(rows: Rows, changes: dict[str, Any], name: str) -> None:
    make = _pre_visit(rows)
    refused(rows, name, lambda: make(**changes))
    refused(rows, "pre_visit_completed_by_somebody", lambda: make(completed_by=rows.user))
    make(completed_at=NINE, completed_by=rows.user)


def test_answers_of_an_echeckin(rows: Rows) -> None:
    make = _answer(rows)
    refused(rows, "pre_visit_answer_section_known", lambda: make(section="shoe size"))
    make()
    refused(rows, "pre_visit_answer_current_once", make)
    make(superseded_at=NINE)
    make(section="medicines")


def test_links_in_messages(rows: Rows) -> None:
    make = _link(rows)
    made = make(token_hash=HASH)
    refused(rows, "visit_link_token_once", lambda: make(token_hash=HASH))
    refused(
        rows,
        "visit_link_message_once",
        lambda: make(token_hash=OTHER_HASH, notification_id=made.notification_id),
    )
    make(token_hash=OTHER_HASH)


@pytest.mark.parametrize("half", ["revoked_at", "revoked_by"])
def test_a_feed_is_revoked_by_somebody_at_a_time(rows: Rows, half: str) -> None:
    make, both = _feed(rows), {"revoked_at": NINE, "revoked_by": rows.user}
    make(**both)
    refused(rows, "calendar_feed_revoked_by_somebody", lambda: make(**{half: both[half]}))


def test_one_open_request_a_visit_type() -> None:
    """By the owner alone: row security lets nobody but her ask."""
    with identity(system("registration"), using="owner"):
        rows = Rows("owner")
        make = _request(rows)
        make()
        refused(rows, "visit_request_open_once", make)
        make(state="withdrawn", decided_at=NINE, decided_by=rows.user)
        make(patient=rows.person())


def _planned(rows: Rows) -> Make:
    plan = rows.add(
        CarePlan,
        patient=rows.patient,
        name="Infusions",
        first_on=date(2026, 12, 1),
        every_days=21,
        cycles=6,
        laid_down_at=NINE,
        laid_down_by=rows.user,
    )
    step = rows.add(PlanStep, plan=plan, position=1, visit_type=rows.visit_type)

    def make(**changes: Any) -> PlannedVisit:
        visit: Appointment = rows.appointment()
        valid = {"plan": plan, "patient": rows.patient, "step": step, "cycle": 1}
        return rows.add(PlannedVisit, **{**valid, "appointment": visit, **changes})

    return make


def test_planned_visits(rows: Rows) -> None:
    make = _planned(rows)
    refused(rows, "planned_visit_cycle", lambda: make(cycle=0))
    make()
    make(cycle=6)
    refused(rows, "planned_visit_once", make)
    make(replaced_at=NINE + timedelta(days=1))
