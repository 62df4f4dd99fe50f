"""Who may hold and rule, within which bounds, and what the database refuses whoever asks."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.utils import ProgrammingError as DatabaseRefusal

from core.db import identity, system
from core.errors import DomainError, Forbidden, InvalidInput, NotFound
from labs.models import ReleaseHold, ReleaseRule
from labs.services import holding, ruling
from patients.viewer import staff_viewer
from tests.cast import Cast
from tests.labs.messages import Obx, laboratory
from tests.labs.releasing import (
    MARKER,
    WEEK,
    deliver,
    place,
    rule_for_markers,
    seen,
    the_report,
    the_result,
)
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
H72 = timedelta(hours=72)
ANNAS = "6875-9"


@pytest.fixture(autouse=True)
def lab(cast: Cast) -> Any:
    return laboratory(cast.clinic)


@pytest.mark.parametrize(
    ("days", "accepted"),
    [
        (timedelta(), False),
        (SECOND, True),
        (timedelta(days=14), True),
        (timedelta(days=14) + SECOND, False),
    ],
)
def test_a_hold_is_bounded(cast: Cast, now: datetime, days: timedelta, accepted: bool) -> None:
    deliver(now, Obx("31"))
    if accepted:
        assert place(cast, the_report(), now, backstop_at=now + days).backstop_at == now + days
        return
    with pytest.raises(InvalidInput):
        place(cast, the_report(), now, backstop_at=now + days)
    assert seen(cast, now) == ["31"]


@pytest.mark.parametrize("words", ["", "   "])
def test_a_hold_says_why(cast: Cast, now: datetime, words: str) -> None:
    deliver(now, Obx("31"))
    with pytest.raises(InvalidInput):
        place(cast, the_report(), now, words=words)
    with pytest.raises(InvalidInput):
        place(cast, the_report(), now, reason_code="patient_request")


def test_only_a_clinician_of_her_care_team_decides(cast: Cast, now: datetime) -> None:
    deliver(now, Obx("31"))
    report = the_report()
    for actor, refusal in (
        (cast.nurse, Forbidden),
        (cast.desk, NotFound),
        (cast.other_nurse, NotFound),
        (cast.lab, NotFound),
    ):
        with pytest.raises(refusal):
            place(cast, report, now, actor=actor)
    assert seen(cast, now) == ["31"]


def test_the_database_keeps_holds_from_who_may_not_place_them(cast: Cast, now: datetime) -> None:
    deliver(now, Obx("31"))
    report = the_report()

    def insert(**changes: Any) -> None:
        known = {
            "patient_id": cast.anna.id,
            "report": report,
            "reason_code": "discuss_first",
            "words": "x",
            "placed_by": cast.nurse,
            "placed_at": now,
            "backstop_at": now + WEEK,
        }
        with transaction.atomic():
            ReleaseHold(**{**known, **changes}).save(force_insert=True)

    nurse = staff_viewer(user=cast.nurse, now=now).identity
    with identity(nurse), pytest.raises(DatabaseRefusal):
        insert()
    with identity(viewer_of(cast.anna_user).identity):
        with pytest.raises(DatabaseRefusal):
            insert(placed_by=cast.anna_user)
        insert(placed_by=cast.anna_user, reason_code="patient_request", words="")


@pytest.mark.parametrize(
    "changes",
    [
        {"backstop_at": "now"},
        {"backstop_at": "now + 61 days"},
        {"words": ""},
        {"lifted_by": "clinician"},
        {"lifted_at": "now"},
    ],
    ids=str,
)
def test_the_database_refuses_a_hold_that_makes_no_sense(
    cast: Cast, now: datetime, changes: dict[str, str]
) -> None:
    deliver(now, Obx("31"))
    values: dict[str, Any] = {"now": now, "now + 61 days": now + timedelta(days=61), "": ""}
    values["clinician"] = cast.clinician
    known: dict[str, Any] = {
        "patient_id": cast.anna.id,
        "report": the_report(),
        "reason_code": "in_doubt",
        "words": "x",
        "placed_by": cast.clinician,
        "placed_at": now,
        "backstop_at": now + WEEK,
    }
    known |= {name: values[value] for name, value in changes.items()}
    with identity(system("release")), pytest.raises(IntegrityError), transaction.atomic():
        ReleaseHold(**known).save(force_insert=True)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE labs_releasehold SET words = 'other'",
        "UPDATE labs_releasehold SET backstop_at = backstop_at + interval '1 day'",
        "DELETE FROM labs_releasehold",
        "UPDATE labs_releaserule SET amount = 1",
        "DELETE FROM labs_releaserule",
    ],
)
def test_what_was_decided_is_never_rewritten(cast: Cast, now: datetime, change: str) -> None:
    rule_for_markers(cast)
    deliver(now, Obx("31"))
    place(cast, the_report(), now)
    frozen = pytest.raises(IntegrityError, match="never rewritten")
    with identity(system("release")), connection.cursor() as cursor, frozen, transaction.atomic():
        cursor.execute(change)


# --- two people behind a rule -------------------------------------------------------------------


def test_a_rule_is_approved_by_somebody_else_once(cast: Cast, now: datetime) -> None:
    rule = rule_for_markers(cast, approved_by=None, approved_at=None)
    with identity(staff_viewer(user=cast.clinician, now=now).identity):
        with pytest.raises(ruling.OwnRule):
            ruling.approve_rule(rule_id=rule.id, actor=cast.clinician, now=now)
        ruling.approve_rule(rule_id=rule.id, actor=cast.nurse, now=now)
        with pytest.raises(ruling.RuleApproved):
            ruling.approve_rule(rule_id=rule.id, actor=cast.nurse, now=now)
    deliver(now, Obx("28", **MARKER))
    assert the_result(ANNAS).visible_from == now + H72


def test_an_approved_rule_can_only_be_ended(cast: Cast, now: datetime) -> None:
    rule = rule_for_markers(cast)
    with identity(staff_viewer(user=cast.clinician, now=now).identity):
        with pytest.raises(ruling.NotInForce):
            ruling.end_rule(rule_id=rule.id, last_day=rule.valid_from, now=now)
        ruling.end_rule(rule_id=rule.id, last_day=now.date(), now=now)
        with pytest.raises(ruling.NotInForce):
            ruling.end_rule(rule_id=rule.id, last_day=now.date(), now=now)
    deliver(now, Obx("28", **MARKER))
    assert the_result(ANNAS).visible_from == now


def test_a_rule_delays_thirty_days_at_most_and_is_about_one_thing(cast: Cast) -> None:
    rule_for_markers(cast, name="longest", amount=720)
    for number, changes in enumerate(
        [
            {"amount": 721},
            {"timing": "local_day", "amount": 31},
            {"analyte_key": "cea"},
            {"result_class": ""},
            {"approved_by": cast.clinician},
            {"reason": ""},
        ]
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            rule_for_markers(cast, name=f"bad-{number}", **changes)


def test_a_patient_reads_no_rule_and_no_hold_of_her_clinicians(cast: Cast, now: datetime) -> None:
    rule_for_markers(cast)
    deliver(now, Obx("31"))
    place(cast, the_report(), now)
    with identity(viewer_of(cast.anna_user).identity):
        assert ReleaseRule.objects.count() == 0
        assert ReleaseHold.objects.count() == 0
        with pytest.raises(DomainError):
            holding.take_back(viewer=viewer_of(cast.anna_user), hold_id=ReleaseHold().id, now=now)
