"""Reviews: what she reads of them, who may review, and what a review leaves alone."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from accounts.models import Membership, Organization
from accounts.roles import Role
from clinical.patient_text import NOT_REVIEWED, PROMISES
from core.db import Identity, identity, system
from core.errors import DomainError, Forbidden, NotFound
from labs.models import Comment, DiagnosticReport, Review, SendingLaboratory
from labs.services.reviewing import (
    TAKE,
    AlreadyReviewed,
    ItemDecision,
    ReportChanged,
)
from patients.viewer import staff_viewer
from tests.cast import Cast
from tests.labs.results import Line, correct, file_report, make_laboratory, result_of
from tests.labs.reviewing import comment, review, shown_to
from tests.together import together
from tests.tokens import Api, viewer_of
from worklist.models import Urgency, WorkItem
from worklist.services import Fact, raise_item

pytestmark = pytest.mark.django_db

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)


def report_of(anna: Api, report: DiagnosticReport) -> dict[str, Any]:
    answer = anna.get(f"patients/me/reports/{report.id}")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def words_of(answer: dict[str, Any]) -> set[str]:
    return {answer["review_text"], *(result["review_text"] for result in answer["results"])}


@pytest.fixture
def report(cast: Cast, laboratory: SendingLaboratory) -> DiagnosticReport:
    return file_report(cast.anna, laboratory, [Line("alt", "96"), Line("ast", "20")])


# --- reviews ------------------------------------------------------------------------------------


def test_until_somebody_reviewed_it_the_page_says_nobody_did(
    report: DiagnosticReport, as_anna: Api
) -> None:
    shown = report_of(as_anna, report)
    assert words_of(shown) == {NOT_REVIEWED}
    assert (shown["reviewed"], shown["reviewed_before_correction"]) == (None, False)
    assert shown["comments"] == []


@pytest.mark.parametrize(("who", "role"), [("nurse", "nurse"), ("clinician", "clinician")])
def test_a_review_names_the_role_and_the_time(
    cast: Cast, now: datetime, report: DiagnosticReport, as_anna: Api, who: str, role: str
) -> None:
    review(report, getattr(cast, who), now)
    shown = report_of(as_anna, report)
    text = f"Opened and reviewed by a {role} on Sunday, 22 November 2026, 10:00 CET."
    assert words_of(shown) == {text}
    assert shown["reviewed"]["by_role"] == role
    assert [r["reviewed"]["at"]["local"] for r in shown["results"]] == ["2026-11-22T10:00"] * 2
    (listed,) = as_anna.get("patients/me/reports").json()["items"]
    assert (listed["reviewed"], listed["review_text"]) == (shown["reviewed"], text)


def test_a_correction_makes_the_review_one_of_before(
    cast: Cast, now: datetime, report: DiagnosticReport, as_anna: Api
) -> None:
    review(report, cast.clinician, now)
    correct(result_of(report, "alt"), Line("alt", "26", status="C"), at=now - HOUR)
    shown = report_of(as_anna, report)
    alt, ast = shown["results"]
    # It holds although the correction's clock says that it came before the review.
    assert (alt["reviewed"], alt["reviewed_before_correction"]) == (None, True)
    assert (shown["reviewed"], shown["reviewed_before_correction"]) == (None, True)
    assert "before it was corrected" in shown["review_text"]
    assert (ast["reviewed"]["by_role"], ast["reviewed_before_correction"]) == ("clinician", False)
    review(report, cast.nurse, now + HOUR)
    again = report_of(as_anna, report)
    assert [r["reviewed"]["by_role"] for r in again["results"]] == ["nurse", "nurse"]
    assert again["reviewed_before_correction"] is False


def test_what_came_later_is_not_reviewed_and_not_corrected(
    cast: Cast, now: datetime, report: DiagnosticReport, as_anna: Api
) -> None:
    review(report, cast.clinician, now)
    late = result_of(report, "ast")
    late.pk, late.identity_key, late.analyte_key = None, "late", "alp"
    late._state.adding = True
    with identity(system("lab-intake")):
        late.save(force_insert=True)
    shown = report_of(as_anna, report)
    assert (shown["reviewed"], shown["reviewed_before_correction"]) == (None, False)
    assert shown["review_text"] == NOT_REVIEWED
    assert [bool(r["reviewed"]) for r in shown["results"]] == [True, True, False]


def test_a_report_without_results_is_reviewed_in_its_version(
    cast: Cast, now: datetime, laboratory: SendingLaboratory, as_anna: Api
) -> None:
    pending = file_report(cast.anna, laboratory, [])
    with identity(system("lab-intake")):
        DiagnosticReport.objects.filter(id=pending.id).update(visible_from=pending.filed_at)
    review(pending, cast.nurse, now)
    assert report_of(as_anna, pending)["reviewed"]["by_role"] == "nurse"
    with identity(system("lab-intake")):
        DiagnosticReport.objects.filter(id=pending.id).update(version=2, status="cancelled")
    assert report_of(as_anna, pending)["review_text"] == NOT_REVIEWED


@pytest.mark.parametrize("who", ["nurse", "clinician"])
def test_no_text_about_reviews_promises_a_watcher(
    cast: Cast, now: datetime, report: DiagnosticReport, as_anna: Api, who: str
) -> None:
    texts = words_of(report_of(as_anna, report))
    review(report, getattr(cast, who), now)
    texts |= words_of(report_of(as_anna, report))
    correct(result_of(report, "alt"), Line("alt", "26", status="C"), at=now)
    texts |= words_of(report_of(as_anna, report))
    assert len(texts) == 3
    for text in texts:
        assert not [promise for promise in PROMISES if promise in text.lower()]
        assert "will" not in text.lower()


def test_the_page_that_was_read_is_what_is_reviewed(
    cast: Cast, now: datetime, report: DiagnosticReport
) -> None:
    with identity(system("lab-intake")):
        read = shown_to(report, cast.nurse, now)
    correct(result_of(report, "alt"), Line("alt", "26", status="C"), at=now)
    with pytest.raises(ReportChanged):
        review(report, cast.nurse, now, shown=read)
    with pytest.raises(ReportChanged):
        comment(report, cast.nurse, now, shown=read)
    with identity(system("lab-intake")):
        assert (Review.objects.count(), Comment.objects.count()) == (0, 0)


def test_the_same_person_reviews_the_same_state_once(
    cast: Cast, now: datetime, report: DiagnosticReport
) -> None:
    review(report, cast.nurse, now)
    with pytest.raises(AlreadyReviewed):
        review(report, cast.nurse, now + SECOND)
    review(report, cast.clinician, now)
    correct(result_of(report, "alt"), Line("alt", "26", status="C"), at=now)
    review(report, cast.nurse, now + HOUR)


@pytest.mark.parametrize(
    ("who", "refusal"), [("other_nurse", NotFound), ("desk", Forbidden), ("lab", Forbidden)]
)
def test_only_staff_who_look_after_her_speak(
    cast: Cast, now: datetime, report: DiagnosticReport, who: str, refusal: type[DomainError]
) -> None:
    with identity(system("lab-intake")):
        shown = shown_to(report, cast.nurse, now)
    for speak in (review, comment):
        with pytest.raises(refusal):
            speak(report, getattr(cast, who), now, shown=shown)  # type: ignore[operator]


def test_a_clinician_outside_the_care_team_finds_nothing(
    cast: Cast, now: datetime, laboratory: SendingLaboratory
) -> None:
    foreign = file_report(cast.brigid, laboratory, [Line("alt", "96")])
    with identity(system("lab-intake")):
        shown = shown_to(foreign, cast.nurse, now)
    with pytest.raises(NotFound):
        review(foreign, cast.clinician, now, shown=shown)
    review(foreign, cast.nurse, now, shown=shown)


# --- work items ---------------------------------------------------------------------------------


@pytest.fixture
def item(cast: Cast, report: DiagnosticReport) -> WorkItem:
    with identity(system("worklist")):
        return raise_item(
            patient_id=cast.anna.pk,
            concern="liver",
            title="Critical result",
            urgency=Urgency.EMERGENCY,
            owner_team=WorkItem.Team.NURSE,
            organization_id=cast.clinic.pk,
            fact=Fact("observation", result_of(report, "alt").pk, "ALT"),
            now=report.filed_at,
        )


def standing(item: WorkItem) -> tuple[bool, str]:
    with identity(system("worklist")):
        found = WorkItem.objects.get(id=item.id)
    return found.acknowledged_at is not None, found.closure_code


def test_a_review_alone_leaves_every_work_item_open(
    cast: Cast, now: datetime, report: DiagnosticReport, item: WorkItem
) -> None:
    review(report, cast.nurse, now)
    assert standing(item) == (False, "")


@pytest.mark.parametrize(("code", "expected"), [(TAKE, (True, "")), ("called", (True, "called"))])
def test_an_item_moves_as_the_reviewer_says(
    cast: Cast,
    now: datetime,
    report: DiagnosticReport,
    item: WorkItem,
    code: str,
    expected: tuple[bool, str],
) -> None:
    review(report, cast.nurse, now, decisions=[ItemDecision(item.id, code, "told her")])
    assert standing(item) == expected


def test_an_item_of_another_report_is_not_found_and_nothing_is_reviewed(
    cast: Cast, now: datetime, laboratory: SendingLaboratory, item: WorkItem
) -> None:
    other = file_report(cast.anna, laboratory, [Line("ast", "20")])
    with pytest.raises(NotFound):
        review(other, cast.nurse, now, decisions=[ItemDecision(item.id, TAKE)])
    with identity(system("lab-intake")):
        assert Review.objects.count() == 0


# --- told and two at once ----------------------------------------------------------------------


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_a_double_click_is_one_review(cast: Cast, now: datetime) -> None:
    report = file_report(cast.anna, make_laboratory(cast.clinic), [Line("alt", "96")])

    def step() -> str:
        review(report, cast.nurse, now)
        return "reviewed"

    assert together([step, step]) == ["already-reviewed", "reviewed"]


@pytest.mark.parametrize("who", ["anna", "dora", "other_nurse"])
def test_the_database_lets_nobody_but_her_staff_write_a_review(
    cast: Cast, now: datetime, report: DiagnosticReport, who: str
) -> None:
    """She would read "reviewed" although nobody of the staff looked."""
    asking = {
        "anna": lambda: viewer_of(cast.anna_user).identity,
        "dora": lambda: Identity("proxy", cast.dora.pk, cast.anna.id, frozenset({"labs"})),
        "other_nurse": lambda: staff_viewer(user=cast.other_nurse, now=now).identity,
    }[who]()
    row = Review(
        patient=cast.anna, report=report, report_version=1, seen={}, seen_digest="x",
        reviewer=cast.nurse, reviewer_role="nurse", reviewed_at=now,
    )  # fmt: skip
    with identity(asking), pytest.raises(DatabaseError), transaction.atomic():
        row.save(force_insert=True)


def test_a_role_at_a_clinic_that_is_closed_is_not_named(
    cast: Cast, now: datetime, report: DiagnosticReport
) -> None:
    closed = Organization.objects.create(name="Closed Clinic", zone="Europe/Berlin")
    Membership.objects.create(
        user=cast.nurse, organization=closed, role=Role.CLINICIAN, valid_from=now - HOUR
    )
    assert review(report, cast.nurse, now).reviewer_role == "nurse"
