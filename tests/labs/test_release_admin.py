"""Holding, releasing and ruling on the staff site."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.roles import Role
from core.clock import utc_now
from core.db import identity, system
from core.models import AuditEvent
from labs.models import DiagnosticReport, ReleaseHold, ReleaseRule
from tests.cast import Cast, staff
from tests.labs.conftest import LABS
from tests.labs.messages import Obx, laboratory
from tests.labs.releasing import MARKER, deliver, place, rule_for_markers, the_report, the_result
from tests.tokens import api_of

# Row security goes by the time of the transaction: what is released here needs real ones.
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

LIFT, APPROVE = "labs_releasehold_lift_hold", "labs_releaserule_approve"
WORDS = "Her scan is on Monday."


@pytest.fixture
def report(cast: Cast) -> DiagnosticReport:
    laboratory(cast.clinic)
    deliver(utc_now(), Obx("31"), Obx("28", **MARKER))
    return the_report()


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page(client: Client, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, response.content[:500]
    return str(response.content.decode())


def at(model: str, kind: str, *args: Any) -> str:
    return reverse(f"admin:labs_{model}_{kind}", args=args)


def fill(until: datetime, **changes: str) -> dict[str, str]:
    return {
        "what": "",
        "reason_code": "discuss_first",
        "words": WORDS,
        "backstop_at_0": f"{until:%Y-%m-%d}",
        "backstop_at_1": f"{until:%H:%M:%S}",
        **changes,
    }


def the_hold() -> ReleaseHold:
    with identity(system("release")):
        return ReleaseHold.objects.get()


def shown(cast: Cast) -> int:
    return len(api_of(cast.anna_user, LABS).get("patients/me/results").json()["items"])


def test_the_page_of_a_report_leads_to_holding_and_the_report_says_that_it_is_held(
    cast: Cast, report: DiagnosticReport
) -> None:
    clara = signed_in(cast.clinician)
    address = at("diagnosticreport", "change", report.pk)
    before = page(clara, address)
    assert at("releasehold", "place", report.pk) in before
    assert at("releasehold", "release", report.pk) in before
    asked = page(clara, at("releasehold", "place", report.pk))
    assert "Some of it is visible to her already." in asked
    assert "she asked for it" not in asked
    until = utc_now() + timedelta(days=3)
    answer = clara.post(at("releasehold", "place", report.pk), fill(until), follow=True)
    assert "It was not opened on the portal before." in answer.content.decode()
    placed = the_hold()
    assert (placed.words, placed.placed_by_id) == (WORDS, cast.clinician.pk)
    assert placed.backstop_at == until.replace(microsecond=0)
    assert shown(cast) == 0
    assert "Held from the patient until" in page(clara, address)


@pytest.mark.parametrize("ticked", [False, True])
def test_whoever_holds_says_whether_she_may_know_that_something_waits(
    cast: Cast, report: DiagnosticReport, ticked: bool
) -> None:
    until = utc_now() + timedelta(days=3)
    one = the_result("6875-9").identity_key
    sent = fill(until, what=one, **({"tells_of_delay": "on"} if ticked else {}))
    signed_in(cast.clinician).post(at("releasehold", "place", report.pk), sent, follow=True)
    assert the_hold().tells_of_delay is ticked
    (shown_report,) = api_of(cast.anna_user, LABS).get("patients/me/reports").json()["items"]
    assert (shown_report["not_released"] is not None) is ticked


def test_it_says_who_had_seen_it(cast: Cast, report: DiagnosticReport) -> None:
    assert shown(cast) == 2
    api_of(cast.dora, LABS).get(f"patients/{cast.anna.id}/reports/{report.id}")
    clara = signed_in(cast.clinician)
    until = utc_now() + timedelta(days=3)
    one = the_result("6875-9").identity_key
    answer = clara.post(
        at("releasehold", "place", report.pk), fill(until, what=one), follow=True
    ).content.decode()
    assert "She or a caregiver may have seen it" in answer
    assert "the patient, " in answer
    assert "a caregiver, " in answer
    assert shown(cast) == 1


@pytest.mark.parametrize(
    ("changes", "days", "words"),
    [
        ({"words": ""}, 3, "This field is required."),
        ({"reason_code": "patient_request"}, 3, "Select a valid choice"),
        ({"what": "of-another-report"}, 3, "Select a valid choice"),
        ({}, 15, "Within 14 days from now."),
        ({}, -1, "Within 14 days from now."),
    ],
)
def test_a_hold_that_lacks_something_says_what(
    cast: Cast, report: DiagnosticReport, changes: dict[str, str], days: int, words: str
) -> None:
    clara = signed_in(cast.clinician)
    until = utc_now() + timedelta(days=days)
    answer = clara.post(at("releasehold", "place", report.pk), fill(until, **changes))
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert shown(cast) == 2


def test_lifting_needs_a_reason_and_shows_it_again(cast: Cast, report: DiagnosticReport) -> None:
    placed = place(cast, report, utc_now())
    clara = signed_in(cast.clinician)
    address = at("releasehold", "change", placed.pk)
    refused = clara.post(address, {LIFT: "1", "lift_reason": " "}, follow=True)
    assert "Say why the hold ends." in refused.content.decode()
    assert shown(cast) == 0
    done = clara.post(address, {LIFT: "1", "lift_reason": "We spoke."}, follow=True)
    assert "Lifted." in done.content.decode()
    assert the_hold().lift_reason == "We spoke."
    assert shown(cast) == 2
    assert LIFT not in page(clara, address)


def test_releasing_now(cast: Cast, report: DiagnosticReport) -> None:
    place(cast, report, utc_now())
    clara = signed_in(cast.clinician)
    address = at("releasehold", "release", report.pk)
    assert "Why now" in page(clara, address)
    assert "This field is required." in clara.post(address, {"reason": ""}).content.decode()
    done = clara.post(address, {"reason": "She was told."}, follow=True)
    assert "Released now: 2." in done.content.decode()
    assert shown(cast) == 2
    again = clara.post(address, {"reason": "Again."})
    assert "visible to her already" in again.content.decode()


def test_holds_are_listed_by_their_end_and_by_what_they_ask_for(
    cast: Cast, report: DiagnosticReport
) -> None:
    now = utc_now()
    late = place(cast, report, now, backstop_at=now + timedelta(days=9))
    soon = place(cast, report, now, backstop_at=now + timedelta(hours=20))
    with identity(system("release")):
        past = ReleaseHold.objects.create(
            patient=cast.anna,
            report=report,
            reason_code="in_doubt",
            words="x",
            placed_by=cast.clinician,
            placed_at=now - timedelta(days=2),
            backstop_at=now - timedelta(days=1),
        )
    clara = signed_in(cast.clinician)
    everything = page(clara, at("releasehold", "changelist"))
    places = [everything.index(f"/{one.pk}/") for one in (past, soon, late)]
    assert places == sorted(places)
    for standing, wanted in (("past", [past]), ("soon", [soon]), ("held", [soon, late])):
        listed = page(clara, at("releasehold", "changelist") + f"?standing={standing}")
        found = [one for one in (past, soon, late) if f"/{one.pk}/" in listed]
        assert found == wanted


def test_only_clinicians_of_her_team_decide(cast: Cast, report: DiagnosticReport) -> None:
    placed = place(cast, report, utc_now())
    until = utc_now() + timedelta(days=3)
    stranger = staff("carl", Role.CLINICIAN, cast.clinic)
    for user in (cast.nurse, cast.desk, cast.lab, cast.other_nurse, stranger):
        client = signed_in(user)
        for kind in ("place", "release"):
            address = at("releasehold", kind, report.pk)
            assert client.get(address).status_code == 404
            assert client.post(address, fill(until)).status_code == 404
        change = at("releasehold", "change", placed.pk)
        answer = client.post(change, {LIFT: "1", "lift_reason": "x"})
        assert answer.status_code in (302, 403)
    assert the_hold().lifted_at is None
    nora = signed_in(cast.nurse)
    assert WORDS in page(nora, at("releasehold", "change", placed.pk))
    assert at("releasehold", "place", report.pk) not in page(
        nora, at("diagnosticreport", "change", report.pk)
    )
    for user in (cast.desk, cast.lab):
        assert signed_in(user).get(at("releasehold", "changelist")).status_code == 403


def test_no_look_at_a_hold_stands_in_her_list_of_who_looked(
    cast: Cast, report: DiagnosticReport
) -> None:
    anna = api_of(cast.anna_user, LABS)

    def by_staff() -> int:
        items = anna.get("patients/me/access-log", {"limit": "100"}).json()["items"]
        return len([item for item in items if "of the clinic" in str(item)])

    before = by_staff()
    clara = signed_in(cast.clinician)
    until = utc_now() + timedelta(days=3)
    clara.post(at("releasehold", "place", report.pk), fill(until))
    placed = the_hold()
    page(clara, at("releasehold", "changelist"))
    page(clara, at("releasehold", "change", placed.pk))
    clara.post(at("releasehold", "change", placed.pk), {LIFT: "1", "lift_reason": "Done."})
    assert by_staff() == before
    with identity(system("housekeeping")):
        kept = set(
            AuditEvent.objects.filter(
                patient_id=cast.anna.id, actor_id=cast.clinician.pk
            ).values_list("operation", flat=True)
        )
    assert {
        "staff-only.admin.releasehold.report",
        "staff-only.labs.release.hold",
        "staff-only.admin.releasehold.list",
        "staff-only.admin.releasehold.read",
        "staff-only.labs.release.lift",
    } <= kept


def test_no_log_entry_holds_the_words(cast: Cast, report: DiagnosticReport) -> None:
    placed = place(cast, report, utc_now())
    clara = signed_in(cast.clinician)
    clara.post(at("releasehold", "change", placed.pk), {LIFT: "1", "lift_reason": "Testmann."})
    said = " ".join(f"{e.object_repr} {e.change_message}" for e in LogEntry.objects.all())
    assert said
    for secret in ("Testmann", WORDS):
        assert secret not in said


# --- rules --------------------------------------------------------------------------------------


def draft(cast: Cast, **changes: str) -> dict[str, str]:
    return {
        "organization": str(cast.clinic.pk),
        "laboratory": "",
        "name": "markers",
        "version": "1",
        "result_class": "tumour_markers",
        "analyte_key": "",
        "loinc": "",
        "timing": "elapsed_hours",
        "amount": "72",
        "at_time": "00:00:00",
        "reason": "An invented law.",
        "valid_from": "2026-01-01",
        "valid_until": "",
        **changes,
    }


def the_rule() -> ReleaseRule:
    with identity(system("release")):
        return ReleaseRule.objects.get()


def test_a_rule_takes_two_people_and_can_then_only_be_ended(cast: Cast) -> None:
    second = staff("cora", Role.CLINICIAN, cast.clinic)
    clara, cora = signed_in(cast.clinician), signed_in(second)
    assert clara.post(at("releaserule", "add"), draft(cast)).status_code == 302
    rule = the_rule()
    assert not rule.tells_of_delay
    address = at("releaserule", "change", rule.pk)
    assert APPROVE not in page(clara, address)
    clara.post(address, {**draft(cast), APPROVE: "1"})
    assert the_rule().approved_at is None
    assert APPROVE in page(cora, address)
    cora.post(address, {**draft(cast), APPROVE: "1"})
    assert the_rule().approved_by_id == second.pk
    clara.post(address, {**draft(cast, amount="1"), "valid_until": "2027-01-01"})
    ended = the_rule()
    assert (ended.amount, str(ended.valid_until)) == (72, "2027-01-01")
    assert clara.post(address, draft(cast, valid_until="2028-01-01")).status_code == 403


def test_whoever_changes_a_draft_stands_for_it(cast: Cast) -> None:
    second = staff("cora", Role.CLINICIAN, cast.clinic)
    clara, cora = signed_in(cast.clinician), signed_in(second)
    clara.post(at("releaserule", "add"), draft(cast))
    address = at("releaserule", "change", the_rule().pk)
    cora.post(address, {**draft(cast, amount="1", tells_of_delay="on"), APPROVE: "1"})
    changed = the_rule()
    assert changed.tells_of_delay
    assert (changed.author_id, changed.amount, changed.approved_at) == (second.pk, 1, None)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"analyte_key": "cea"}, "only one"),
        ({"result_class": ""}, "only one"),
        ({"result_class": "", "loinc": "6875-1"}, "Not a LOINC code"),
        ({"amount": "721"}, "thirty_days_at_most"),
        ({"reason": ""}, "This field is required."),
    ],
)
def test_a_rule_without_meaning_is_refused(cast: Cast, changes: dict[str, str], words: str) -> None:
    answer = signed_in(cast.clinician).post(at("releaserule", "add"), draft(cast, **changes))
    assert answer.status_code == 200
    assert words in answer.content.decode()
    with identity(system("release")):
        assert not ReleaseRule.objects.exists()


def test_a_laboratory_of_another_clinic_is_refused(cast: Cast) -> None:
    foreign = laboratory(cast.other_clinic, key="harborlab")
    answer = signed_in(cast.clinician).post(
        at("releaserule", "add"), draft(cast, laboratory=str(foreign.pk))
    )
    assert "not a laboratory of this organization" in answer.content.decode()


def test_rules_are_read_by_staff_with_results_and_written_by_clinicians(cast: Cast) -> None:
    rule_for_markers(cast)
    assert "72 hours" in page(signed_in(cast.nurse), at("releaserule", "changelist"))
    assert signed_in(cast.nurse).post(at("releaserule", "add"), draft(cast)).status_code == 403
    for user in (cast.desk, cast.lab):
        assert signed_in(user).get(at("releaserule", "changelist")).status_code == 403
