"""What was sampled: a receptor of a metastasis is not that of the primary tumour."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from core.db import identity, system
from labs.models import BiomarkerProposal, DiagnosticReport, Observation, SendingLaboratory
from labs.services.biomarker_decisions import accept_marker
from labs.services.intake import receive
from labs.services.senders import Door, Origin
from patients.models import ProfileFact
from patients.viewer import staff_viewer
from tests.cast import Cast
from tests.labs.fhir_bodies import Json, annas, concept, observation, raw, report
from tests.labs.messages import Obr, Obx, laboratory, oru, send
from tests.tokens import api_of

pytestmark = pytest.mark.django_db
LIVER = "SPM|1|B26-77||TISS^Tissue^HL70487||||10200004^Liver structure (body structure)^SCT"
BREAST = "SPM|2|B26-78||TISS^Tissue^HL70487||||76752008^Breast structure^SCT"
ER = Obx("Positive", "85337-4", name="ER", unit="", range="", type="ST")
STAIN, HYBRIDISATION = "85319-2", "85318-4"
NOTHING: Json = {"valueQuantity": None, "referenceRange": None}


@pytest.fixture
def lab(cast: Cast) -> SendingLaboratory:
    return laboratory(cast.clinic, client_id="lis")


def by_hl7(now: datetime, *segments: str, line: Obx = ER, **order: Any) -> None:
    made = Obr([line], code="11529-5^Surgical pathology^LN", **order)
    assert send(oru(made, *segments), now).ack_code == "AA"


def by_fhir(now: datetime, *resources: Json | tuple[str, Json]) -> None:
    answer = receive(
        raw(annas(*resources)), origin=Origin(door=Door.FHIR, client_id="lis"), now=now
    )
    assert answer.disposition == "stored"


def specimen(name: str, site: str, number: str = "") -> tuple[str, Json]:
    made = {
        "resourceType": "Specimen",
        "type": {"text": "Tissue"},
        "collection": {"bodySite": {"text": site}},
        **({"accessionIdentifier": {"value": number}} if number else {}),
    }
    return f"urn:uuid:{name}", made


def finding(name: str, code: str, said: str, of: str = "", **more: Any) -> tuple[str, Json]:
    sampled = {"specimen": {"reference": f"urn:uuid:{of}"}} if of else {}
    made = observation(code=code, valueString=said, **NOTHING, **sampled, **more)
    return f"urn:uuid:{name}", made


def pathology(*results: str, **more: Any) -> Json:
    return report(*results, code=concept("11529-5"), category=[concept("SP")], **more)


def current() -> list[Observation]:
    with identity(system("lab-intake")):
        return list(Observation.objects.current().order_by("obx_index"))


def proposals() -> list[BiomarkerProposal]:
    with identity(system("lab-intake")):
        return list(BiomarkerProposal.objects.order_by("proposed_at", "id"))


def sites() -> list[tuple[str, str]]:
    return [(row.specimen_type, row.body_site) for row in current()]


def test_a_message_says_where_the_sample_came_from(lab: SendingLaboratory, now: datetime) -> None:
    by_hl7(now, LIVER)
    assert sites() == [("Tissue", "Liver structure")]
    assert [p.specimen for p in proposals()] == ["Tissue from liver structure B26-77"]


def test_a_result_of_several_samples_may_be_about_any_of_them(
    lab: SendingLaboratory, now: datetime
) -> None:
    by_hl7(now, LIVER, BREAST)
    assert sites() == [("Tissue", "Liver structure; Breast structure")]


def test_two_samples_of_one_report_keep_their_results_apart(
    lab: SendingLaboratory, now: datetime
) -> None:
    by_fhir(
        now,
        specimen("b", "Left breast", "S1"),
        specimen("l", "Liver", "S2"),
        finding("er1", "85337-4", "Positive", "b"),
        finding("er2", "85337-4", "Negative", "l"),
        pathology("urn:uuid:er1", "urn:uuid:er2"),
    )
    assert [(row.value_text, row.body_site) for row in current()] == [
        ("Positive", "Left breast"),
        ("Negative", "Liver"),
    ]
    assert [(p.reading, p.specimen) for p in proposals()] == [
        ("positive", "Tissue from left breast S1"),
        ("negative", "Tissue from liver S2"),
    ]


@pytest.mark.parametrize("numbers", [("S1", "S2"), ("", "")])
def test_the_stain_of_one_sample_is_never_joined_with_the_hybridisation_of_another(
    lab: SendingLaboratory, now: datetime, numbers: tuple[str, str]
) -> None:
    by_fhir(
        now,
        specimen("b", "Left breast", numbers[0]),
        specimen("l", "Liver", numbers[1]),
        finding("ihc", STAIN, "2+", "b"),
        finding("ish", HYBRIDISATION, "Not amplified", "l"),
        pathology("urn:uuid:ihc", "urn:uuid:ish"),
    )
    assert sorted(p.reading for p in proposals()) == ["equivocal", "negative"]


def test_several_samples_of_an_order_join_nothing(lab: SendingLaboratory, now: datetime) -> None:
    lines = [Obx(said, code, name="HER2", unit="", range="", type="ST")
             for said, code in (("2+", STAIN), ("Not amplified", HYBRIDISATION))]  # fmt: skip
    send(oru(Obr(lines, code="11529-5^Surgical pathology^LN"), LIVER, BREAST), now)
    assert sorted(p.reading for p in proposals()) == ["equivocal", "negative"]


@pytest.mark.parametrize(
    ("of_result", "of_report", "expected"),
    [
        ({}, ["l"], ("Tissue", "Liver")),
        ({}, ["l", "b"], ("", "")),
        ({}, [], ("", "")),
        ({"bodySite": {"text": "Bone"}}, [], ("", "Bone")),
        ({"bodySite": {"text": "Bone"}}, ["l"], ("Tissue", "Liver")),
        ({"specimen": {"reference": "urn:uuid:b"}}, ["l"], ("Tissue", "Breast")),
        # It names a sample that is not here: the report's could be another one.
        ({"specimen": {"reference": "urn:uuid:nowhere"}}, ["l"], ("", "")),
    ],
)
def test_a_result_takes_its_own_sample_before_the_one_of_its_report(
    lab: SendingLaboratory,
    now: datetime,
    of_result: Json,
    of_report: list[str],
    expected: tuple[str, str],
) -> None:
    by_fhir(
        now,
        specimen("b", "Breast"),
        specimen("l", "Liver"),
        finding("er", "85337-4", "Positive", **of_result),
        pathology("urn:uuid:er", specimen=[{"reference": f"urn:uuid:{n}"} for n in of_report]),
    )
    assert sites() == [expected]


def test_the_sample_of_a_neighbour_is_not_borrowed(lab: SendingLaboratory, now: datetime) -> None:
    by_fhir(
        now,
        specimen("l", "Liver", "S2"),
        finding("er", "85337-4", "Positive", "l"),
        finding("pr", "85339-0", "Positive"),
        pathology("urn:uuid:er", "urn:uuid:pr"),
    )
    assert sites() == [("Tissue", "Liver"), ("", "")]


def test_a_corrected_site_is_a_correction(
    lab: SendingLaboratory, cast: Cast, now: datetime
) -> None:
    by_hl7(now, LIVER)
    moved = LIVER.replace("10200004^Liver structure (body structure)", "76752008^Breast")
    resulted = "20261121102500+0100"
    corrected = Obx(**{**ER.__dict__, "status": "C"})
    by_hl7(now + timedelta(hours=1), moved, line=corrected, resulted=resulted)
    assert sites() == [("Tissue", "Breast")]
    with identity(system("lab-intake")):
        assert DiagnosticReport.objects.get().corrected is True


def test_she_reads_where_the_sample_came_from(
    lab: SendingLaboratory, cast: Cast, now: datetime
) -> None:
    by_hl7(now, LIVER)
    send(oru(Obr([Obx("31")], filler="FL2")), now)
    results = api_of(cast.anna_user).get("patients/me/results").json()["items"]
    assert {shown["name"]: shown["specimen"] for shown in results} == {
        "ER": {
            "type": "Tissue",
            "body_site": "Liver structure",
            "text": "Tissue from liver structure",
        },
        "ALT (liver test)": None,
    }


def test_staff_read_it_and_a_fact_names_it(
    lab: SendingLaboratory, cast: Cast, now: datetime, client: Client
) -> None:
    by_hl7(now, LIVER)
    [row] = current()
    client.force_login(cast.clinician)
    page = client.get(reverse("admin:labs_diagnosticreport_change", args=[row.report_id]))
    assert "Tissue from liver structure" in page.content.decode()
    [proposal] = proposals()
    with identity(staff_viewer(user=cast.clinician, now=now).identity):
        accept_marker(proposal_id=proposal.id, actor=cast.clinician, now=now)
    with identity(system("registration")):
        fact = ProfileFact.objects.get()
    assert fact.source == (
        "Tissue from liver structure: Report of Mainlab, confirmed by a clinician"
    )
