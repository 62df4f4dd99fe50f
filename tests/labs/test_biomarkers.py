"""From a marker result to a fact of the profile: proposed, decided by a clinician, questioned."""

import re
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.test import Client

from accounts.models import User
from accounts.roles import Role
from core.db import identity, system
from core.errors import InvalidInput, NotFound
from core.models import AuditEvent
from education.profile import reader_profile
from labs.models import BiomarkerProposal, DiagnosticReport, Observation, SendingLaboratory
from labs.services.biomarker_decisions import (
    MarkerDecided,
    MarkerNotReleased,
    MarkerUnread,
    accept_marker,
    change_marker,
    refuse_marker,
)
from patients.models import CareTeamMember, ProfileFact
from patients.services import NewFact, record_fact
from patients.viewer import staff_viewer
from tests.cast import START, Cast, make_cast
from tests.conftest import NOW
from tests.labs.messages import Obr, Obx, laboratory, oru, send
from tests.together import together
from tests.tokens import api_of, viewer_of
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db
LATER = "20261121102500+0100"


@pytest.fixture
def main_lab(cast: Cast) -> SendingLaboratory:
    return laboratory(cast.clinic)


def marker(value: str, code: str = "85337-4", name: str = "ER", **more: Any) -> Obx:
    return Obx(value, code, **{"name": name, "unit": "", "range": "", "type": "ST", **more})


def ihc(value: str, **more: Any) -> Obx:
    return marker(value, "85319-2", "HER2 IHC", **more)


def ish(value: str, **more: Any) -> Obx:
    return marker(value, "85318-4", "HER2 FISH", **more)


def file(now: datetime, *lines: Obx, **order: Any) -> None:
    send(oru(Obr(lines, **{"code": "11529-5^Surgical pathology^LN", **order})), now)


def proposals() -> list[BiomarkerProposal]:
    with identity(system("lab-intake")):
        return list(BiomarkerProposal.objects.order_by("proposed_at", "id"))


def facts() -> list[ProfileFact]:
    with identity(system("registration")):
        return list(ProfileFact.objects.order_by("recorded_at", "id"))


def items() -> list[WorkItem]:
    with identity(system("worklist")):
        return list(WorkItem.objects.filter(concern="profile.evidence"))


def decide(step: Any, actor: User, now: datetime, **more: Any) -> BiomarkerProposal:
    with identity(staff_viewer(user=actor, now=now).identity):
        return step(actor=actor, now=now, **more)


def accept(proposal: BiomarkerProposal, cast: Cast, now: datetime) -> BiomarkerProposal:
    return decide(accept_marker, cast.clinician, now, proposal_id=proposal.id)


# --- proposing --------------------------------------------------------------------------------


def test_a_result_proposes_and_changes_nothing_by_itself(
    cast: Cast, main_lab: SendingLaboratory, now: datetime
) -> None:
    file(now, marker("Positive (95 %)"), specimen="B26-77")
    (proposal,) = proposals()
    assert proposal.specimen == "SER B26-77"
    assert (proposal.marker, proposal.reading) == ("ER", "positive")
    assert proposal.source_text == "Positive (95 %)"
    assert (proposal.collected_on, proposal.decision) == (date(2026, 11, 20), "")
    assert facts() == []
    (result,) = api_of(cast.anna_user, "labs.read").get("patients/me/results").json()["items"]
    assert result["value"]["text"] == "Positive (95 %)"


@pytest.mark.parametrize(
    ("line", "reading", "unread"),
    [
        (marker("Not tested"), "", "not-tested"),
        (marker("see comment"), "", "unknown-text"),
        (marker("10828004^Positive^SCT", type="CWE"), "positive", ""),
        (marker("260385009^Negative^SCT", type="CWE"), "negative", ""),
        (marker("260385009^Positive^SCT", type="CWE"), "", "contradiction"),
        (Obx("<^1", "85329-1", name="ER", unit="%", range="", type="SN"), "negative", ""),
        (Obx("5", "85329-1", name="ER", unit="%", range="", type="NM"), "low", ""),
        (ihc("2+"), "equivocal", ""),
    ],
)  # fmt: skip
def test_every_form_of_a_value_is_read(
    main_lab: SendingLaboratory, now: datetime, line: Obx, reading: str, unread: str
) -> None:
    file(now, line)
    (proposal,) = proposals()
    assert (proposal.reading, proposal.unread) == (reading, unread)


def test_other_results_and_early_ones_propose_nothing(
    main_lab: SendingLaboratory, now: datetime
) -> None:
    file(now, Obx("31"), marker("Positive", status="P"), marker("Positive", status="X", sub_id="2"))
    assert proposals() == []


def test_stain_and_hybridisation_of_one_report_are_one_proposal(
    main_lab: SendingLaboratory, now: datetime
) -> None:
    file(now, ihc("2+"), ish("Not amplified"))
    (proposal,) = proposals()
    assert proposal.reading == "low"
    assert len(proposal.rests_on) == 2


def test_a_hybridisation_that_comes_later_replaces_the_open_proposal(
    main_lab: SendingLaboratory, now: datetime
) -> None:
    file(now, ihc("2+"))
    file(now + timedelta(hours=1), ish("Amplified"), resulted=LATER)
    first, second = proposals()
    assert (first.decision, second.decision) == ("replaced", "")
    assert (first.reading, second.reading) == ("equivocal", "positive")
    assert "IHC 2+" in second.detail


def test_a_correction_proposes_anew_and_closes_the_old(
    main_lab: SendingLaboratory, now: datetime
) -> None:
    file(now, marker("Negative"))
    file(now + timedelta(hours=1), marker("Positive", status="C"), resulted=LATER)
    assert [(p.reading, p.decision) for p in proposals()] == [
        ("negative", "replaced"),
        ("positive", ""),
    ]


def test_a_withdrawal_closes_the_proposal(main_lab: SendingLaboratory, now: datetime) -> None:
    file(now, marker("Negative"))
    file(now, marker("Negative", status="D"), resulted=LATER)
    assert [p.decision for p in proposals()] == ["replaced"]


# --- deciding ---------------------------------------------------------------------------------


def test_accepting_makes_a_fact_with_its_provenance(
    cast: Cast, main_lab: SendingLaboratory, now: datetime
) -> None:
    file(now, ihc("1+"))
    (proposal,) = proposals()
    accept(proposal, cast, now)
    (fact,) = facts()
    assert (fact.code, fact.result, fact.detail) == ("HER2", "low", "IHC 1+")
    assert fact.starts_on == date(2026, 11, 20)
    assert (fact.observation_id, fact.report_id) == (proposal.observation_id, proposal.report_id)
    assert fact.recorded_by_id == cast.clinician.pk
    (shown,) = api_of(cast.anna_user).get("patients/me").json()["profile"]
    assert (shown["starts_on"], shown["result"]) == ("2026-11-20", "low")
    assert "Mainlab" in shown["source"]
    with identity(system("privacy-incident")):
        assert AuditEvent.objects.filter(operation="labs.biomarker.accepted").count() == 1


def test_education_sees_only_what_was_confirmed(
    cast: Cast, main_lab: SendingLaboratory, now: datetime
) -> None:
    pr, er = marker("Negative", "85339-0", "PR"), marker("Negative")
    file(now, er, pr, ihc("0"))
    assert reader_profile(facts()).subtypes == frozenset()
    for proposal in proposals():
        accept(proposal, cast, now)
    assert reader_profile(facts()).subtypes == {"triple_negative"}


def test_equivocal_and_uncertain_are_facts_of_their_own(
    cast: Cast, main_lab: SendingLaboratory, now: datetime
) -> None:
    file(now, ihc("2+"), marker("VUS", "21636-6", "BRCA1"))
    for proposal in proposals():
        accept(proposal, cast, now)
    assert {fact.code: fact.result for fact in facts()} == {
        "HER2": "equivocal",
        "BRCA1": "uncertain",
    }


def test_the_later_sample_counts_whatever_is_confirmed_first(
    cast: Cast, main_lab: SendingLaboratory, now: datetime
) -> None:
    file(now, marker("Negative"), filler="NEW")
    file(now, marker("Positive"), filler="OLD", collected="20200110081500+0100")
    newer, older = sorted(proposals(), key=lambda p: p.collected_on, reverse=True)
    accept(newer, cast, now)
    accept(older, cast, now + timedelta(minutes=1))
    counting = [fact for fact in facts() if fact.superseded_at is None]
    assert [(fact.result, fact.starts_on) for fact in counting] == [
        ("negative", date(2026, 11, 20))
    ]
    assert len(facts()) == 2


@pytest.mark.parametrize(
    ("collected", "counts"), [("20261119081500+0100", False), ("20261120081500+0100", True)]
)
def test_a_fact_typed_without_a_day_speaks_of_the_day_it_was_typed(
    cast: Cast, main_lab: SendingLaboratory, now: datetime, collected: str, counts: bool
) -> None:
    typed_at = now - timedelta(days=2)
    record_fact(
        patient_id=cast.anna.id,
        fact=NewFact(kind="marker", code="ER", result="negative", source="letter"),
        recorded_by=cast.nurse,
        now=typed_at,
    )
    file(now, marker("Positive"), collected=collected)
    accept(proposals()[0], cast, now)
    counting = [fact.result for fact in facts() if fact.superseded_at is None]
    assert counting == ["positive" if counts else "negative"]


def test_what_could_not_be_read_is_never_accepted_but_may_be_told(
    cast: Cast, main_lab: SendingLaboratory, now: datetime
) -> None:
    file(now, marker("see comment"))
    (proposal,) = proposals()
    with pytest.raises(MarkerUnread):
        accept(proposal, cast, now)
    change = {"proposal_id": proposal.id, "detail": "", "reason": "read the slide report"}
    with pytest.raises(InvalidInput):
        decide(change_marker, cast.clinician, now, **change, result="")
    with pytest.raises(InvalidInput):
        decide(change_marker, cast.clinician, now, **{**change, "reason": " "}, result="positive")
    decide(change_marker, cast.clinician, now, **change, result="positive")
    assert [fact.result for fact in facts()] == ["positive"]
    assert proposals()[0].decision == "changed"


def test_a_refusal_needs_a_reason_and_changes_nothing(
    cast: Cast, main_lab: SendingLaboratory, now: datetime
) -> None:
    file(now, marker("Positive"))
    (proposal,) = proposals()
    with pytest.raises(InvalidInput):
        decide(refuse_marker, cast.clinician, now, proposal_id=proposal.id, reason="")
    decide(refuse_marker, cast.clinician, now, proposal_id=proposal.id, reason="Other tumour")
    assert facts() == []
    with pytest.raises(MarkerDecided):
        accept(proposal, cast, now)


def release(proposal: BiomarkerProposal, at: datetime | None) -> None:
    with identity(system("lab-intake")):
        Observation.objects.filter(id=proposal.observation_id).update(
            visible_from=at,
            release_basis="rule" if at else "",
            release_rule_version="t" if at else "",
        )


def test_a_held_result_does_not_reach_her_profile(
    cast: Cast, main_lab: SendingLaboratory, now: datetime
) -> None:
    file(now, marker("Positive"))
    (proposal,) = proposals()
    for kept in (None, now + timedelta(seconds=1)):
        release(proposal, kept)
        with pytest.raises(MarkerNotReleased):
            accept(proposal, cast, now)
    release(proposal, now)
    accept(proposal, cast, now)
    assert len(facts()) == 1


@pytest.mark.parametrize("held", [True, False])
def test_her_list_of_who_looked_does_not_tell_of_a_held_marker(
    cast: Cast, main_lab: SendingLaboratory, now: datetime, held: bool
) -> None:
    file(now, marker("Positive"))
    (proposal,) = proposals()
    release(proposal, None if held else now)
    anna = api_of(cast.anna_user)

    def looks() -> int:
        items = anna.get("patients/me/access-log", {"limit": "100"}).json()["items"]
        return sum("of the clinic" in str(item) for item in items)

    before = looks()
    staff = Client()
    staff.force_login(cast.clinician)
    for page in ("", f"{proposal.id}/change/"):
        assert staff.get(f"/admin/labs/biomarkerproposal/{page}").status_code == 200
    decide(refuse_marker, cast.clinician, now, proposal_id=proposal.id, reason="Other tumour")
    assert looks() - before == (0 if held else 1)
    with identity(system("privacy-incident")):
        kept = AuditEvent.objects.filter(resource="BiomarkerProposal").count()
    assert kept == 3


def test_only_a_clinician_of_her_care_team_decides(
    cast: Cast, main_lab: SendingLaboratory, now: datetime
) -> None:
    file(now, marker("Positive"))
    (proposal,) = proposals()
    for actor in (cast.nurse, cast.other_nurse, cast.desk, cast.lab):
        with pytest.raises(NotFound):
            decide(accept_marker, actor, now, proposal_id=proposal.id)
    with identity(system("registration")):
        CareTeamMember.objects.filter(user=cast.clinician).update(valid_until=now)
    with pytest.raises(NotFound):
        accept(proposal, cast, now)
    with identity(system("registration")):
        CareTeamMember.objects.create(
            patient=cast.brigid, user=cast.clinician, role=Role.CLINICIAN, valid_from=START
        )
    with pytest.raises(NotFound):
        accept(proposal, cast, now)
    assert facts() == []


def test_the_patient_sees_no_proposal(
    cast: Cast, main_lab: SendingLaboratory, now: datetime
) -> None:
    file(now, marker("Positive"))
    with identity(viewer_of(cast.anna_user).identity):
        assert BiomarkerProposal.objects.count() == 0


def test_what_was_read_and_decided_is_never_rewritten(
    cast: Cast, main_lab: SendingLaboratory, now: datetime
) -> None:
    file(now, marker("Positive"), marker("Negative", "85339-0", "PR"))
    first, second = proposals()
    accept(first, cast, now)
    for row, change in ((second, {"reading": "positive"}), (first, {"reason": "other"})):
        with (
            pytest.raises(DatabaseError),
            identity(system("lab-intake")),
            transaction.atomic(),
        ):
            BiomarkerProposal.objects.filter(id=row.id).update(**change)


# --- afterwards -------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [marker("Negative", status="C"), marker("", status="D"),
                                  marker("", status="W")])  # fmt: skip
def test_a_fact_whose_report_is_corrected_is_questioned(
    cast: Cast, main_lab: SendingLaboratory, now: datetime, line: Obx
) -> None:
    file(now, marker("Positive"))
    accept(proposals()[0], cast, now)
    file(now, line, resulted=LATER)
    (item,) = items()
    assert item.owner_team == WorkItem.Team.CLINICIAN
    assert "Positive" not in item.title
    assert [fact.superseded_at for fact in facts()] == [None]


def test_a_fact_from_two_tests_is_questioned_for_either(
    cast: Cast, main_lab: SendingLaboratory, now: datetime
) -> None:
    file(now, ihc("2+"), ish("Not amplified"))
    accept(proposals()[0], cast, now)
    file(now, ihc("3+", status="C"), resulted=LATER)
    assert len(items()) == 1


def test_a_fact_that_no_longer_counts_is_not_questioned(
    cast: Cast, main_lab: SendingLaboratory, now: datetime
) -> None:
    file(now, marker("Positive"), filler="A")
    accept(proposals()[0], cast, now)
    record_fact(
        patient_id=cast.anna.id,
        fact=NewFact(kind="marker", code="ER", result="negative", source="board"),
        recorded_by=cast.clinician,
        now=now,
    )
    file(now, marker("Negative", status="C"), filler="A", resulted=LATER)
    assert items() == []


# --- the queue page ---------------------------------------------------------------------------


def test_the_queue_is_for_her_clinicians_and_decides(
    cast: Cast, main_lab: SendingLaboratory, now: datetime
) -> None:
    file(now, marker("Positive"))
    (proposal,) = proposals()
    page = f"/admin/labs/biomarkerproposal/{proposal.id}/change/"
    for stranger in (cast.nurse, cast.desk, cast.lab, cast.other_nurse):
        client = Client()
        client.force_login(stranger)
        assert client.get(page).status_code in (302, 403, 404)
    client = Client()
    client.force_login(cast.clinician)
    assert "Testmann, Anna" in client.get("/admin/labs/biomarkerproposal/").content.decode()
    shown = client.get(page).content.decode()
    assert "Accept as read" in shown
    (name,) = re.findall(r'name="(\w+_accept)"', shown)
    form = {"decided_result": "", "decided_detail": "", "reason": "", name: ""}
    assert client.post(page, form).status_code == 302
    assert [fact.result for fact in facts()] == ["positive"]
    assert "Accept as read" not in client.get(page).content.decode()


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_two_clinicians_at_once_make_one_fact() -> None:
    cast = make_cast(NOW)
    laboratory(cast.clinic)
    file(NOW, marker("Positive"))
    (proposal,) = proposals()

    def step() -> str:
        accept(proposal, cast, NOW)
        return "made"

    assert together([step, step]) == ["made", "marker-decided"]
    assert len(facts()) == 1
    with identity(system("lab-intake")):
        assert DiagnosticReport.objects.count() == 1
