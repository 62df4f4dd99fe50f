"""The staff site's review form, comments, templates and queues of results."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Membership, User
from accounts.roles import Role
from core.clock import utc_now
from core.db import identity, system
from core.models import AuditEvent
from labs.models import (
    Comment,
    DiagnosticReport,
    IntakeItem,
    Review,
    SendingLaboratory,
)
from tests.cast import START, Cast
from tests.labs.messages import ALBUMIN, CALCIUM, Obx, send_one
from tests.labs.messages import laboratory as sending
from tests.labs.results import COLLECTED, Line, correct, file_report, result_of
from tests.labs.reviewing import comment, review
from tests.labs.test_reading_admin import page, report_page, signed_in
from worklist.models import Urgency, WorkItem
from worklist.services import Fact, raise_item

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
REPORTS = "/admin/labs/diagnosticreport/"
RESULTS = "/admin/labs/observation/"


@pytest.fixture
def nurse(cast: Cast) -> Client:
    return signed_in(cast.nurse)


@pytest.fixture
def clinician(cast: Cast) -> Client:
    return signed_in(cast.clinician)


@pytest.fixture
def report(cast: Cast, laboratory: SendingLaboratory) -> DiagnosticReport:
    return file_report(cast.anna, laboratory, [Line("alt", "96"), Line("ast", "20")])


def address(name: str, pk: Any) -> str:
    return reverse(f"admin:labs_diagnosticreport_{name}", args=[pk])


def shown_on(client: Client, url: str) -> str:
    found = re.search(r'name="shown" value="([0-9a-f]{64})"', page(client, url))
    assert found is not None
    return found[1]


def raised(cast: Cast, report: DiagnosticReport, urgency: Urgency = Urgency.EMERGENCY) -> WorkItem:
    with identity(system("worklist")):
        return raise_item(
            patient_id=report.patient_id,
            concern="liver",
            title="Critical result: ALT",
            urgency=urgency,
            owner_team=WorkItem.Team.NURSE,
            organization_id=cast.clinic.pk,
            dedupe_key=str(report.pk),
            fact=Fact("observation", result_of(report, "alt").pk, "ALT"),
            now=utc_now(),
        )


def closure(item: WorkItem) -> tuple[bool, str, str]:
    with identity(system("worklist")):
        found = WorkItem.objects.get(pk=item.pk)
    return found.acknowledged_at is not None, found.closure_code, found.closure_note


# --- the review ---------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["nurse", "clinician"])
def test_a_report_is_marked_as_reviewed_from_its_page(
    cast: Cast, report: DiagnosticReport, who: str
) -> None:
    client = signed_in(getattr(cast, who))
    assert "Nobody has marked this as reviewed yet." in page(client, report_page(report))
    body = {"shown": shown_on(client, report_page(report))}
    done = client.post(address("review", report.pk), body, follow=True)
    shown = done.content.decode()
    assert "Marked as reviewed." in shown
    assert "Reviewed as it stands now." in shown
    with identity(system("lab-intake")):
        made = Review.objects.get()
    assert (made.reviewer_id, made.reviewer_role) == (getattr(cast, who).pk, who)
    again = client.post(address("review", report.pk), body, follow=True).content.decode()
    assert "You have reviewed this report already." in again


def test_a_page_that_is_out_of_date_reviews_nothing(
    report: DiagnosticReport, nurse: Client, now: datetime
) -> None:
    body = {"shown": shown_on(nurse, report_page(report))}
    correct(result_of(report, "alt"), Line("alt", "26", status="C"), at=now)
    answer = nurse.post(address("review", report.pk), body, follow=True).content.decode()
    assert "This report changed while you read it. Read it again." in answer
    with identity(system("lab-intake")):
        assert Review.objects.count() == 0


def test_a_review_before_a_correction_is_shown_as_one(
    cast: Cast, report: DiagnosticReport, nurse: Client, now: datetime
) -> None:
    review(report, cast.clinician, now)
    correct(result_of(report, "alt"), Line("alt", "26", status="C"), at=now)
    shown = page(nurse, report_page(report))
    assert "Reviewed before it changed." in shown
    assert ": before it changed" in shown


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ("", (False, "", "")),
        ("take", (True, "", "")),
        ("called", (True, "called", "told her")),
    ],
)
def test_a_critical_item_moves_only_as_it_is_chosen(
    cast: Cast,
    report: DiagnosticReport,
    nurse: Client,
    chosen: str,
    expected: tuple[bool, str, str],
) -> None:
    item = raised(cast, report)
    shown = page(nurse, report_page(report))
    assert "Critical result: ALT" in shown
    choice = re.search(rf'<select name="item-{item.pk}".*?</select>', shown, re.S)
    assert choice is not None
    assert "selected" not in choice[0] or '<option value="" selected>' in choice[0]
    body = {
        "shown": shown_on(nurse, report_page(report)),
        f"item-{item.pk}": chosen,
        f"note-{item.pk}": "told her",
    }
    nurse.post(address("review", report.pk), body)
    assert closure(item) == expected


def test_an_unknown_choice_is_refused(cast: Cast, report: DiagnosticReport, nurse: Client) -> None:
    item = raised(cast, report)
    body = {"shown": shown_on(nurse, report_page(report)), f"item-{item.pk}": "vanish"}
    answer = nurse.post(address("review", report.pk), body, follow=True).content.decode()
    assert "Choose for each item what happens with it." in answer
    assert closure(item) == (False, "", "")
    with identity(system("lab-intake")):
        assert Review.objects.count() == 0


# --- comments -----------------------------------------------------------------------------------


def test_a_comment_is_previewed_as_plain_text_and_published(
    report: DiagnosticReport, clinician: Client
) -> None:
    alt = result_of(report, "alt")
    url = f"{address('comment', report.pk)}?result={alt.pk}"
    body = {
        "shown": shown_on(clinician, url),
        "language": "en",
        "text": "<b>Better</b>\nthan before",
    }
    preview = clinician.post(url, {**body, "preview": "1"}).content.decode()
    assert "&lt;b&gt;Better&lt;/b&gt;<br>than before" in preview
    assert "<b>Better</b>" not in preview
    with identity(system("lab-intake")):
        assert Comment.objects.count() == 0
    done = clinician.post(url, {**body, "publish": "1"}, follow=True).content.decode()
    assert "Published." in done
    assert "&lt;b&gt;Better&lt;/b&gt;<br>than before" in done
    with identity(system("lab-intake")):
        made = Comment.objects.get()
    assert (made.identity_key, made.text) == (alt.identity_key, "<b>Better</b>\nthan before")


def test_a_comment_over_something_held_says_that_it_waits(
    cast: Cast, laboratory: SendingLaboratory, nurse: Client
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "96"), Line("ast", "20", held=True)])
    alt = result_of(report, "alt")
    url = address("comment", report.pk)
    assert "Not everything here is released." in page(nurse, url)
    assert "Not everything here is released." not in page(nurse, f"{url}?result={alt.pk}")
    body = {"shown": shown_on(nurse, url), "language": "en", "text": "Whole.", "publish": "1"}
    done = nurse.post(url, body, follow=True).content.decode()
    assert "waits for a result&#x27;s release" in done


@pytest.mark.parametrize("text", ["", "Your {value} is fine.", "x" * 2001])
def test_a_text_that_cannot_be_published_stays_in_the_form(
    report: DiagnosticReport, nurse: Client, text: str
) -> None:
    url = address("comment", report.pk)
    body = {"shown": shown_on(nurse, url), "language": "en", "text": text, "publish": "1"}
    answer = nurse.post(url, body)
    assert answer.status_code == 200
    with identity(system("lab-intake")):
        assert Comment.objects.count() == 0


def test_comments_are_replaced_and_withdrawn_with_their_history(
    cast: Cast, report: DiagnosticReport, nurse: Client, now: datetime
) -> None:
    first = comment(report, cast.clinician, now, "Al is well.")
    url = address("replace", first.pk)
    assert "Al is well." in page(nurse, url)
    body = {"shown": shown_on(nurse, url), "language": "en", "text": "All is well."}
    assert nurse.post(url, {**body, "publish": "1"}).status_code == 200
    done = nurse.post(url, {**body, "publish": "1", "reason": "typo"}, follow=True)
    shown = done.content.decode()
    for words in ("Replaced.", "All is well.", "Al is well.", "in place of another: typo"):
        assert words in shown
    with identity(system("lab-intake")):
        second = Comment.objects.get(replaces=first)
    withdrawal = address("withdraw", second.pk)
    none = nurse.post(withdrawal, {"reason": " "}, follow=True).content.decode()
    assert "Say why." in none
    gone = nurse.post(withdrawal, {"reason": "wrong record"}, follow=True).content.decode()
    assert "wrong record" in gone
    late = nurse.post(withdrawal, {"reason": "again"}, follow=True).content.decode()
    assert "This comment was replaced or withdrawn already." in late


def test_who_has_no_reach_finds_no_address(
    cast: Cast, report: DiagnosticReport, now: datetime
) -> None:
    said = comment(report, cast.nurse, now)
    addresses = [
        ("get", address("comment", report.pk)),
        ("get", address("replace", said.pk)),
        ("post", address("review", report.pk)),
        ("post", address("withdraw", said.pk)),
    ]
    for user in (cast.other_nurse, cast.desk, cast.lab):
        client = signed_in(user)
        for method, url in addresses:
            assert getattr(client, method)(url).status_code == 404, (user, url)
    for name in ("review", "withdraw"):
        pk = report.pk if name == "review" else said.pk
        assert signed_in(cast.nurse).get(address(name, pk)).status_code == 405


def test_a_result_of_another_report_is_no_subject(
    cast: Cast, laboratory: SendingLaboratory, report: DiagnosticReport, nurse: Client
) -> None:
    other = result_of(file_report(cast.anna, laboratory, [Line("alp", "60")]), "alp")
    for wanted in (other.pk, "x"):
        answer = nurse.get(address("comment", report.pk), {"result": str(wanted)})
        assert answer.status_code == 404


def test_reading_results_to_comment_on_is_recorded(
    cast: Cast, report: DiagnosticReport, nurse: Client
) -> None:
    page(nurse, address("comment", report.pk))
    with identity(system("housekeeping")):
        event = AuditEvent.objects.get(operation="admin.diagnosticreport.comment")
    assert (event.patient_id, event.actor_id) == (cast.anna.pk, cast.nurse.pk)
    assert set(event.resource_ids) == {result_of(report, key).pk for key in ("alt", "ast")}


# --- queues -------------------------------------------------------------------------------------


def test_unreviewed_reports_come_by_seriousness_then_age(
    cast: Cast, laboratory: SendingLaboratory, nurse: Client, now: datetime
) -> None:
    def made(name: str, value: str, back: int, flags: tuple[str, ...] = ()) -> DiagnosticReport:
        line = Line("alt", value, flags=flags)
        return file_report(cast.anna, laboratory, [line], at=COLLECTED - back * DAY, name=name)

    made("fine-old", "20", 9)
    made("high-new", "96", 1)
    made("high-old", "96", 5)
    made("urgent-new", "900", 0, ("HH",))
    done = made("reviewed", "900", 3, ("HH",))
    review(done, cast.nurse, now)
    shown = page(nurse, f"{REPORTS}?reviewed=no")
    order = ["urgent-new", "high-old", "high-new", "fine-old"]
    assert sorted(order, key=shown.index) == order
    assert ">reviewed<" not in shown
    assert ">reviewed<" in page(nurse, f"{REPORTS}?reviewed=yes")
    correct(result_of(done, "alt"), Line("alt", "26", status="C"), at=now)
    assert ">reviewed<" in page(nurse, f"{REPORTS}?reviewed=no")


def test_my_patients_are_those_of_my_care_team(
    cast: Cast, laboratory: SendingLaboratory, clinician: Client, nurse: Client
) -> None:
    file_report(cast.anna, laboratory, [Line("alt", "96")], name="of-anna")
    for path in (REPORTS, RESULTS):
        assert "Testmann" in page(clinician, f"{path}?patients=mine")
        assert "Testmann" in page(nurse, path)
        assert "Testmann" not in page(nurse, f"{path}?patients=mine")


def test_discrepancies_leave_the_queue_with_the_review(
    cast: Cast, laboratory: SendingLaboratory, nurse: Client, now: datetime
) -> None:
    lines = [Line("alt", "20", flags=("H",)), Line("ast", "20")]
    report = file_report(cast.anna, laboratory, lines)
    assert result_of(report, "alt").discrepancy
    queue = f"{RESULTS}?discrepancy__exact=1&reviewed=no"
    assert rows(nurse, queue) == {str(result_of(report, "alt").pk)}
    assert figure(nurse, "Flag and range disagree") == "1"
    review(report, cast.nurse, now)
    assert rows(nurse, queue) == set()
    assert figure(nurse, "Flag and range disagree") == "0"


def rows(client: Client, url: str) -> set[str]:
    """Return the ids that a list links to."""
    own = url.partition("?")[0]
    return set(re.findall(rf"{own}([0-9a-f-]{{36}})/change/", page(client, url)))


def figure(client: Client, title: str) -> str:
    """Return the number under a title of the front page."""
    html = re.sub(r"<[^>]+>", " ", page(client, "/admin/"))
    found = re.search(rf"{re.escape(title)}\s+(more than \d+|\d+)", html)
    assert found is not None, title
    return found[1]


def test_unmapped_codes_and_unknown_units_have_a_queue_and_a_remedy(
    cast: Cast, now: datetime
) -> None:
    key = sending(cast.clinic)
    send_one(
        now,
        Obx("31", code="XYZ&<1>", system="L"),
        Obx("9.5", **{**CALCIUM, "unit": "bananas"}),
    )
    lab = signed_in(cast.lab)
    queue = "/admin/labs/intakeitem/"
    codes, units = page(lab, f"{queue}?trouble=codes"), page(lab, f"{queue}?trouble=units")
    assert "unknown-code" in codes
    link = re.search(r'href="([^"]+)">map this code', codes)
    assert link is not None
    form = page(lab, link[1].replace("&amp;", "&"))
    assert 'value="XYZ&amp;&lt;1&gt;"' in form
    assert f'<option value="{key.pk}" selected' in form
    assert "map this code" not in units
    assert reverse("admin:labs_sendinglaboratory_change", args=[key.pk]) in units
    assert figure(lab, "Codes that are not mapped") == "1"
    assert figure(lab, "Units that are not known") == "1"
    with identity(system("lab-intake")):
        IntakeItem.objects.update(cleared_at=now, cleared_by=cast.lab, clearance="settled")
    assert figure(lab, "Units that are not known") == "0"


def test_criticals_are_open_emergencies_of_results(
    cast: Cast, report: DiagnosticReport, laboratory: SendingLaboratory, nurse: Client
) -> None:
    item = raised(cast, report)
    other = file_report(cast.anna, laboratory, [Line("alt", "96")], at=COLLECTED - DAY)
    raised(cast, other, Urgency.SAME_DAY)
    assert figure(nurse, "Critical results") == "1"
    assert rows(nurse, "/admin/worklist/workitem/?critical=yes") == {str(item.pk)}


def test_the_front_page_counts_what_its_viewer_reaches(
    cast: Cast, report: DiagnosticReport
) -> None:
    title = "Reports nobody has reviewed"
    assert figure(signed_in(cast.nurse), title) == "1"
    assert figure(signed_in(cast.clinician), title) == "1"
    assert figure(signed_in(cast.other_nurse), title) == "0"
    for user in (cast.desk, cast.lab):
        assert title not in page(signed_in(user), "/admin/")


# --- calcium ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([Obx("4.1", **ALBUMIN)], "Albumin is too high for the formula."),
        ([], "No albumin of the same sample came with it."),
    ],
)
def test_staff_read_why_calcium_was_not_corrected(
    cast: Cast, now: datetime, nurse: Client, lines: list[Obx], why: str
) -> None:
    sending(cast.clinic)
    send_one(now, Obx("10.0", **CALCIUM), *lines)
    with identity(system("lab-intake")):
        report = DiagnosticReport.objects.get()
    assert f"Not corrected for albumin: {why}" in page(nurse, report_page(report))


def test_a_nurse_who_is_also_a_clinician_speaks_as_clinician(
    cast: Cast, report: DiagnosticReport, now: datetime
) -> None:
    Membership.objects.create(
        user=cast.clinician, organization=cast.clinic, role=Role.NURSE, valid_from=START
    )
    assert review(report, cast.clinician, now).reviewer_role == "clinician"


def test_staff_names_stay_out_of_the_review_that_she_reads(
    cast: Cast, report: DiagnosticReport, now: datetime, as_anna: Any
) -> None:
    User.objects.filter(pk=cast.nurse.pk).update(family_name="Unmistakable")
    review(report, cast.nurse, now)
    answer = as_anna.get(f"patients/me/reports/{report.id}").content.decode()
    assert "Unmistakable" not in answer
