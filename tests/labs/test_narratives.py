"""Reports in words and their files, as she and staff read them."""

from datetime import datetime

import pytest

from core.db import identity, system
from core.models import AuditEvent
from labs.models import DiagnosticReport, SendingLaboratory
from tests.cast import Cast, SignIn
from tests.labs.fhir_bodies import annas, concept
from tests.labs.fhir_bodies import report as fhir_report
from tests.labs.files import HTML, by_fhir, details, ed, form, stored, text
from tests.labs.messages import Obr, Obx, laboratory, oru, send, send_one
from tests.tokens import Api, api_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def main_lab(cast: Cast) -> SendingLaboratory:
    return laboratory(cast.clinic)


@pytest.fixture
def as_anna(cast: Cast) -> Api:
    return api_of(cast.anna_user, "labs.read")


def test_a_pathology_report_is_told_in_words_and_in_order(
    main_lab: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    lines = [
        text("A core of the liver.", "22634-0", name="Gross"),
        text("Carcinoma cells.", "22637-3", sub_id="1"),
        text("ER positive.", "22637-3", sub_id="2"),
        ed(),
    ]
    send(oru(Obr(lines, code="11529-5^Surgical pathology^LN")), now)
    (report,) = details(as_anna)
    assert report["kind"] == "pathology"
    assert "microscope" in report["kind_text"]
    assert [(part["title"], part["text"]) for part in report["narrative"]] == [
        ("Gross", "A core of the liver."),
        ("Diagnosis", "Carcinoma cells.\nER positive."),
    ]
    assert {result["state"] for result in report["results"]} == {"NON_NUMERIC"}
    assert len(report["documents"]) == 1


def test_a_laboratory_report_has_no_sections(
    main_lab: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    send_one(now, Obx("31"), text("Sample slightly red.", "8251-1", name="Comment"))
    (report,) = details(as_anna)
    assert (report["kind"], report["narrative"]) == ("laboratory", [])


def test_a_scan_comes_with_its_conclusion_as_a_section(
    main_lab: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    with identity(system("registration")):
        SendingLaboratory.objects.filter(id=main_lab.id).update(client_id="mainlab-client")
    imaging = concept("RAD", "http://terminology.hl7.org/CodeSystem/v2-0074")
    scan = fhir_report(
        category=[imaging],
        code=concept("18748-4", display="CT of the chest"),
        conclusion="Two spots in the left lung, unchanged.",
        presentedForm=[form()],
    )
    by_fhir(annas(scan), now)
    (report,) = details(as_anna)
    assert report["kind"] == "imaging"
    assert [part["text"] for part in report["narrative"]] == [
        "Two spots in the left lung, unchanged."
    ]
    assert len(report["documents"]) == 1


def test_staff_read_the_words_and_open_the_file_and_that_is_recorded(
    cast: Cast, main_lab: SendingLaboratory, now: datetime, sign_in: SignIn
) -> None:
    lines = [text("Carcinoma <b>cells</b>."), ed(), ed(HTML, sub_id="2")]
    lines.append(ed(value="//archive/1.pdf^PACS^AP^PDF", type="RP", sub_id="3", name="Slides"))
    send(oru(Obr(lines, code="11529-5^Surgical pathology^LN")), now)
    with identity(system("lab-intake")):
        report = DiagnosticReport.objects.get()
    nurse = sign_in(cast.nurse)
    page = nurse.get(f"/admin/labs/diagnosticreport/{report.id}/change/").content.decode()
    assert "Carcinoma &lt;b&gt;cells&lt;/b&gt;." in page
    assert "//archive/1.pdf" in page
    html = next(row for row in stored() if row.attachment and row.attachment.size == len(HTML))
    address = f"/admin/labs/diagnosticreport/document/{html.id}/"
    assert address in page
    answer = nurse.get(address)
    assert answer.content == HTML
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment;")
    with identity(system("privacy-incident")):
        (event,) = AuditEvent.objects.filter(operation="admin.document.content")
    assert (event.resource_ids, event.patient_id) == ([html.id], cast.anna.id)
    for stranger in (cast.other_nurse, cast.desk, cast.lab):
        assert sign_in(stranger).get(address).status_code == 404
