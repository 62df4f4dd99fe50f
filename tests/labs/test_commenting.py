"""Comments: where she reads them, how they change, and what keeps them out of sight."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from accounts.models import User
from core.db import identity, system
from core.errors import InvalidInput, NotFound
from core.models import AuditEvent, Change, Event
from labs.models import Comment, DiagnosticReport, Observation, Review, SendingLaboratory
from labs.services.result_notices import on_comment_published
from labs.services.reviewing import CommentSettled
from notifications.models import Notification
from patients.models import CaregiverGrant
from tests.cast import Cast
from tests.labs.conftest import LABS
from tests.labs.messages import ALBUMIN, CALCIUM, Obx, send_one
from tests.labs.messages import laboratory as made_lab
from tests.labs.results import Line, correct, file_report, make_laboratory, result_of, withdraw
from tests.labs.reviewing import comment, handed, replace, review
from tests.labs.reviewing import withdraw as withdraw_comment
from tests.together import together
from tests.tokens import Api, api_of, viewer_of

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


# --- comments -----------------------------------------------------------------------------------


def comments_of(answer: dict[str, Any]) -> list[list[str]]:
    """Return the texts on the report, then those on each result."""
    return [[c["text"] for c in one["comments"]] for one in (answer, *answer["results"])]


def test_she_reads_comments_where_they_belong(
    cast: Cast, now: datetime, report: DiagnosticReport, as_anna: Api
) -> None:
    alt = result_of(report, "alt")
    comment(report, cast.clinician, now, "On the whole.")
    comment(report, cast.nurse, now, "<b>On</b> ALT", identity_key=alt.identity_key)
    shown = report_of(as_anna, report)
    assert comments_of(shown) == [["On the whole."], ["<b>On</b> ALT"], []]
    said = shown["comments"][0]
    assert (said["author_role"], said["author_name"], said["language"]) == (
        "clinician",
        "clara",
        "en",
    )
    assert (said["at"]["local"], said["before_correction"]) == ("2026-11-22T10:00", False)
    listed = as_anna.get("patients/me/results", {"analyte": "alt"}).json()["items"]
    assert [c["text"] for c in listed[0]["comments"]] == ["<b>On</b> ALT"]


def test_her_caregiver_reads_them_with_the_grant_only(
    cast: Cast, now: datetime, report: DiagnosticReport
) -> None:
    comment(report, cast.clinician, now, "On the whole.")
    path = f"patients/{cast.anna.pk}/reports/{report.id}"
    dora = api_of(cast.dora, LABS)
    assert comments_of(dora.get(path).json())[0] == ["On the whole."]
    with identity(system("registration")):
        CaregiverGrant.objects.filter(caregiver=cast.dora).update(scopes=["appointments.read"])
    assert dora.get(path).status_code in (403, 404)
    assert api_of(cast.brigid.user, LABS).get(path).status_code == 404


def test_a_comment_on_what_was_corrected_says_so(
    cast: Cast, now: datetime, report: DiagnosticReport, as_anna: Api
) -> None:
    alt = result_of(report, "alt")
    comment(report, cast.nurse, now, "whole")
    comment(report, cast.nurse, now, "alt", identity_key=alt.identity_key)
    correct(alt, Line("alt", "26", status="C"), at=now)
    shown = report_of(as_anna, report)
    assert shown["comments"][0]["before_correction"] is True
    assert shown["results"][0]["comments"][0]["before_correction"] is True


def test_a_replaced_comment_gives_way_and_stays_in_the_history(
    cast: Cast, now: datetime, report: DiagnosticReport, as_anna: Api
) -> None:
    first = comment(report, cast.clinician, now, "Al is well.")
    second = replace(first, cast.clinician, now + HOUR, "All is well.")
    assert comments_of(report_of(as_anna, report))[0] == ["All is well."]
    with pytest.raises(CommentSettled):
        replace(first, cast.clinician, now + HOUR, "Again.")
    with pytest.raises(CommentSettled):
        withdraw_comment(first, cast.clinician, now + HOUR)
    withdraw_comment(second, cast.nurse, now + 2 * HOUR)
    assert comments_of(report_of(as_anna, report))[0] == []
    with identity(system("lab-intake")):
        kept = list(Comment.objects.order_by("published_at").values_list("text", "reason"))
        taken_back = Comment.objects.get(id=second.id)
    assert kept == [("Al is well.", ""), ("All is well.", "typo")]
    assert (taken_back.withdrawal_reason, taken_back.withdrawn_by_id) == (
        "wrong record",
        cast.nurse.pk,
    )


@pytest.mark.parametrize("text", ["", " \n ", "\x00\x07", "x" * 2001, "Your {value} is fine."])
def test_a_text_that_is_no_comment_is_refused(
    cast: Cast, now: datetime, report: DiagnosticReport, text: str
) -> None:
    with pytest.raises(InvalidInput):
        comment(report, cast.nurse, now, text)
    assert comment(report, cast.nurse, now, "x" * 2000).text == "x" * 2000


def test_a_reason_is_needed_to_replace_and_to_withdraw(
    cast: Cast, now: datetime, report: DiagnosticReport
) -> None:
    first = comment(report, cast.nurse, now)
    with pytest.raises(InvalidInput):
        withdraw_comment(first, cast.nurse, now, reason="  ")
    with pytest.raises(InvalidInput):
        replace(first, cast.nurse, now, "Other.", reason="")


def test_nobody_rewrites_or_deletes_what_was_said(
    cast: Cast, now: datetime, report: DiagnosticReport
) -> None:
    said, seen = comment(report, cast.nurse, now), review(report, cast.nurse, now)
    for rows, change in (
        (Comment.objects.filter(id=said.id), {"text": "other"}),
        (Review.objects.filter(id=seen.id), {"reviewed_at": now + HOUR}),
    ):
        for attempt in (lambda r=rows, c=change: r.update(**c), lambda r=rows: r.delete()):
            with (
                identity(system("lab-intake")),
                pytest.raises(DatabaseError),
                transaction.atomic(),
            ):
                attempt()


# --- what is held or withdrawn is absent --------------------------------------------------------


HIDDEN = [
    Line("ast", "20", held=True),
    Line("ast", "20", more={"visible_from": None, "release_basis": "", "release_rule_version": ""}),
]


@pytest.mark.parametrize("hidden", HIDDEN, ids=["held", "never released"])
def test_words_over_a_hidden_result_are_absent_from_every_answer(
    cast: Cast, now: datetime, laboratory: SendingLaboratory, as_anna: Api, hidden: Line
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "96"), hidden])
    path = f"patients/me/reports/{report.id}"
    pages = (path, "patients/me/reports", "patients/me/results")

    def read() -> list[Any]:
        found = []
        for page in pages:
            answer = as_anna.get(page).json()
            answer.pop("as_of")
            found.append(answer)
        return found

    def told() -> tuple[int, int]:
        with identity(system("notifications")):
            return Change.objects.count(), Event.objects.filter(
                type="labs.comment.published"
            ).count()

    before, told_before = read(), told()
    ast = result_of(report, "ast")
    comment(report, cast.clinician, now, "Whole: the AST is 20.")
    withdraw_comment(
        comment(report, cast.clinician, now, "AST", identity_key=ast.identity_key),
        cast.clinician,
        now,
    )
    comment(report, cast.clinician, now, "AST is 20.", identity_key=ast.identity_key)
    assert read() == before
    assert told() == told_before
    alt = result_of(report, "alt")
    comment(report, cast.clinician, now, "ALT alone.", identity_key=alt.identity_key)
    assert comments_of(report_of(as_anna, report)) == [[], ["ALT alone."]]
    assert told()[1] == told_before[1] + 1


def test_it_appears_the_moment_the_result_does(
    cast: Cast, now: datetime, laboratory: SendingLaboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = now + HOUR
    report = file_report(
        cast.anna, laboratory, [Line("alt", "96"), Line("ast", "20", visible_from=due)]
    )
    comment(report, cast.clinician, now, "On the whole.")
    seen = {}
    for at in (due - SECOND, due, due + SECOND):
        monkeypatch.setattr("patients.api.views.utc_now", lambda at=at: at)
        shown = report_of(api_of(cast.anna_user, LABS), report)
        seen[at] = (len(shown["results"]), [c["text"] for c in shown["comments"]])
    assert seen == {
        due - SECOND: (1, []),
        due: (2, ["On the whole."]),
        due + SECOND: (2, ["On the whole."]),
    }


def test_a_comment_over_a_withdrawn_result_leaves_with_it(
    cast: Cast, now: datetime, report: DiagnosticReport, as_anna: Api
) -> None:
    alt = result_of(report, "alt")
    comment(report, cast.nurse, now, "whole")
    comment(report, cast.nurse, now, "alt", identity_key=alt.identity_key)
    withdraw(alt, at=now)
    assert comments_of(report_of(as_anna, report)) == [[], []]
    with pytest.raises(NotFound):
        comment(report, cast.nurse, now, "late", identity_key=alt.identity_key)


def test_row_security_hides_comments_without_the_selectors(
    cast: Cast, now: datetime, laboratory: SendingLaboratory
) -> None:
    shown = file_report(cast.anna, laboratory, [Line("alt", "96")])
    held = file_report(cast.anna, laboratory, [Line("alt", "96"), Line("ast", "20", held=True)])
    comment(shown, cast.nurse, now, "shown")
    withdraw_comment(comment(shown, cast.nurse, now, "withdrawn"), cast.nurse, now)
    comment(held, cast.nurse, now, "whole")
    key = result_of(held, "ast").identity_key
    comment(held, cast.nurse, now, "ast", identity_key=key)
    comment(shown, cast.nurse, now + timedelta(days=365 * 20), "not yet")
    with identity(viewer_of(cast.anna_user).identity):
        assert list(Comment.objects.values_list("text", flat=True)) == ["shown"]
    with identity(viewer_of(cast.brigid.user).identity):  # type: ignore[arg-type]
        assert Comment.objects.count() == 0
    with (
        identity(viewer_of(cast.anna_user).identity),
        pytest.raises(DatabaseError),
        transaction.atomic(),
    ):
        Comment(
            patient=cast.anna, report=shown, author=cast.anna_user, author_role="nurse",
            language="en", text="I", published_at=now,
        ).save(force_insert=True)  # fmt: skip


# --- told ---------------------------------------------------------------------------------------


def test_a_comment_is_audited_fed_and_told_in_the_same_transaction(
    cast: Cast, now: datetime, report: DiagnosticReport
) -> None:
    alt = result_of(report, "alt")
    said = comment(report, cast.nurse, now, identity_key=alt.identity_key)
    with identity(system("notifications")):
        lines = set(Change.objects.values_list("resource", "resource_id", "kind"))
        event = Event.objects.get(type="labs.comment.published")
    assert {
        ("DiagnosticReport", report.id, "upsert"),
        ("Observation", alt.id, "upsert"),
    } <= lines
    assert (event.subject_id, event.payload) == (said.id, {"report_id": str(report.id)})
    with identity(system("housekeeping")):
        audited = AuditEvent.objects.get(operation="labs.comment.publish")
    assert (audited.actor_id, audited.patient_id, audited.resource_ids) == (
        cast.nurse.pk,
        cast.anna.pk,
        [said.id],
    )
    assert said.text not in str(vars(audited))


def test_a_review_is_audited_and_an_event(
    cast: Cast, now: datetime, report: DiagnosticReport
) -> None:
    made = review(report, cast.clinician, now)
    with identity(system("housekeeping")):
        assert AuditEvent.objects.get(operation="labs.report.review").resource_ids == [made.id]
        event = Event.objects.get(type="labs.report.reviewed")
    assert (event.subject_id, event.payload) == (report.id, {"report_version": 1})


def test_the_notice_says_that_there_is_something_new_and_no_more(
    cast: Cast,
    now: datetime,
    report: DiagnosticReport,
) -> None:
    comment(report, cast.nurse, now, "ALT is better.")
    with identity(system("notifications")):
        event = Event.objects.get(type="labs.comment.published")
    for _ in range(2):
        on_comment_published(handed(event, now))
    with identity(system("notifications")):
        rows = list(Notification.objects.filter(patient_id=cast.anna.pk))
    assert {(r.purpose, r.template, r.subject_id) for r in rows} == {
        ("result", "something_new", report.id)
    }
    assert len({(r.recipient_id, r.channel) for r in rows}) == len(rows)
    assert all(r.context == {} for r in rows)


def test_a_comment_on_a_report_speaks_of_what_the_laboratory_sent(
    cast: Cast, now: datetime
) -> None:
    """The corrected calcium comes and goes with its inputs; words on the report stay."""
    made_lab(cast.clinic)
    send_one(now, Obx("10.0", **CALCIUM), Obx("2.0", **ALBUMIN))
    with identity(system("lab-intake")):
        report = DiagnosticReport.objects.get()
        derived = Observation.objects.current().get(origin="derived")
    said = comment(report, cast.nurse, now)
    assert len(said.seen) == 2
    assert derived.identity_key not in said.seen


# --- two at once --------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_of_two_who_replace_at_once_one_does(cast: Cast, now: datetime) -> None:
    report = file_report(cast.anna, make_laboratory(cast.clinic), [Line("alt", "96")])
    first = comment(report, cast.nurse, now)

    def writer(actor: User, text: str) -> Callable[[], str]:
        def step() -> str:
            replace(first, actor, now, text)
            return "replaced"

        return step

    assert together([writer(cast.nurse, "A"), writer(cast.clinician, "B")]) == [
        "comment-settled",
        "replaced",
    ]
    with identity(system("lab-intake")):
        assert Comment.objects.filter(superseded_at__isnull=True).count() == 1
