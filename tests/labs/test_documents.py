"""Documents of results: in through both doors, out to those who may see the result alone."""

import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from core.db import identity, system
from core.ids import new_id
from core.models import Attachment, AuditEvent
from labs.models import Document, IntakeItem, Observation, SendingLaboratory
from tests.cast import Cast, SignIn
from tests.labs.fhir_bodies import annas, observation, patient
from tests.labs.fhir_bodies import report as fhir_report
from tests.labs.files import HTML, PDF, by_fhir, details, ed, form, in_base64, stored
from tests.labs.messages import Obx, laboratory, send_one
from tests.tokens import Api, api_of, viewer_of

pytestmark = pytest.mark.django_db
LABS = "labs.read"
LATER = "20261120112500+0100"


@pytest.fixture
def main_lab(cast: Cast) -> SendingLaboratory:
    return laboratory(cast.clinic)


@pytest.fixture
def as_anna(cast: Cast) -> Api:
    return api_of(cast.anna_user, LABS)


def documents(api: Api) -> list[dict[str, Any]]:
    return [document for report in details(api) for document in report["documents"]]


def content(api: Api, document: str) -> Any:
    return api.get(f"patients/me/documents/{document}/content")


def test_a_document_is_listed_and_given_out_byte_for_byte(
    cast: Cast, main_lab: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    send_one(now, Obx("31"), ed())
    (shown,) = documents(as_anna)
    assert shown["type"] == "application/pdf"
    assert shown["bytes"] == len(PDF)
    assert shown["at"]["instant"].startswith("2026-11-22T09:00:00")
    answer = content(as_anna, shown["id"])
    assert answer.status_code == 200
    assert answer.content == PDF
    assert answer["Content-Type"] == "application/pdf"
    assert answer["Content-Disposition"] == 'attachment; filename="document.pdf"'
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Cache-Control"] == "no-store, private"
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    again = as_anna.get(
        f"patients/me/documents/{shown['id']}/content", **{"If-None-Match": answer["ETag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


def test_documents_stand_in_the_order_of_their_results(
    main_lab: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    lines = [ed(PDF + bytes([65 + n]), sub_id=str(n), name=f"Part {n}") for n in (3, 1, 2)]
    send_one(now, *lines)
    assert [document["title"] for document in documents(as_anna)] == ["Part 3", "Part 1", "Part 2"]


def test_each_download_is_in_the_audit(
    cast: Cast, main_lab: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    send_one(now, ed())
    (shown,) = documents(as_anna)
    content(as_anna, shown["id"])
    with identity(system("privacy-incident")):
        (event,) = AuditEvent.objects.filter(operation="labs.documents.content")
    assert [str(one) for one in event.resource_ids] == [shown["id"]]
    assert event.patient_id == cast.anna.id


@pytest.mark.parametrize("body", [HTML, b"<svg onload='x()'/>", b"MZ\x90\x00 a program"])
def test_what_could_run_is_only_ever_saved(
    main_lab: SendingLaboratory, as_anna: Api, now: datetime, body: bytes
) -> None:
    send_one(now, ed(body, value=f"LIS^TEXT^HTML^Base64^{in_base64(body)}"))
    (shown,) = documents(as_anna)
    answer = content(as_anna, shown["id"])
    assert answer.content == body
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment;")


SCRIPT = b"<script>alert(document.cookie)</script>"


@pytest.mark.parametrize("door", ["hl7", "fhir"])
@pytest.mark.parametrize(
    ("body", "said", "served"),
    [
        (HTML, "application/pdf", "application/octet-stream"),
        (b"<?xml version='1.0'?><svg xmlns='x'/>", "image/png", "application/octet-stream"),
        (b"\xef\xbb\xbf" + HTML, "text/plain", "application/octet-stream"),
        (HTML.decode().encode("utf-16"), "text/plain", "application/octet-stream"),
        (b"plain words " + SCRIPT, "text/plain", "application/octet-stream"),
        (PDF, "text/html", "application/pdf"),
        (b"Plain words, < 5 %.", "image/svg+xml", "text/plain"),
        # Two types at once: the picture that its first bytes say, and never opened in place.
        (b"%PDF-1.4\n" + SCRIPT, "text/html", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n" + SCRIPT, "text/html", "image/png"),
        (b"\xff\xd8\xff/*" + SCRIPT, "application/javascript", "image/jpeg"),
    ],
)
def test_the_type_is_that_of_the_first_bytes_and_nothing_is_opened_in_place(
    cast: Cast,
    main_lab: SendingLaboratory,
    as_anna: Api,
    now: datetime,
    sign_in: SignIn,
    door: str,
    body: bytes,
    said: str,
    served: str,
) -> None:
    kind, subtype = said.split("/")
    if door == "hl7":
        send_one(now, ed(body, value=f"LIS^{kind}^{subtype}^Base64^{in_base64(body)}"))
    else:
        with identity(system("registration")):
            SendingLaboratory.objects.filter(id=main_lab.id).update(client_id="mainlab-client")
        named = form(body, contentType=said, title="Testmann Anna 900001.html")
        by_fhir(annas(fhir_report(presentedForm=[named])), now)
    (shown,) = documents(as_anna)
    (row,) = stored()
    staff = sign_in(cast.nurse).get(f"/admin/labs/diagnosticreport/document/{row.id}/")
    for answer in (content(as_anna, shown["id"]), staff):
        assert answer.content == body
        assert answer["Content-Type"] == served
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
        disposition = answer["Content-Disposition"]
        assert re.fullmatch(r'attachment; filename="document\.(pdf|png|jpg|txt|bin)"', disposition)


def test_nobody_else_can_tell_that_it_exists(
    cast: Cast, main_lab: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    send_one(now, ed())
    (shown,) = documents(as_anna)
    path = f"documents/{shown['id']}/content"
    brigid = api_of(cast.brigid.user, LABS)
    absent = brigid.get(f"patients/me/documents/{new_id()}/content")
    for api, record in ((brigid, "me"), (brigid, str(cast.anna.id)), (api_of(None, LABS), "me")):
        answer = api.get(f"patients/{record}/{path}")
        assert PDF not in answer.content
    foreign = brigid.get(f"patients/me/{path}")
    assert foreign.status_code == absent.status_code == 404
    assert _without_id(foreign) == _without_id(absent)
    assert api_of(cast.anna_user, "appointments.read").get(f"patients/me/{path}").status_code == 403
    assert Api().get(f"patients/me/{path}").status_code == 401
    dora = api_of(cast.dora, LABS).get(f"patients/{cast.anna.id}/{path}")
    assert dora.content == PDF


def _without_id(answer: Any) -> dict[str, Any]:
    return {k: v for k, v in json.loads(answer.content).items() if k != "request_id"}


def test_both_doors_end_in_the_same_rows(
    cast: Cast, main_lab: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    with identity(system("registration")):
        SendingLaboratory.objects.filter(id=main_lab.id).update(client_id="mainlab-client")
    send_one(now, ed(), filler="FL1")
    by_fhir(annas(fhir_report(identifier=[{"value": "FL2"}], presentedForm=[form()])), now)
    first, second = stored()
    assert first.attachment is not None
    assert second.attachment is not None
    for name in ("media_type", "size", "sha256", "area", "patient_id"):
        assert getattr(first.attachment, name) == getattr(second.attachment, name)
    assert [content(as_anna, str(row.id)).content for row in (first, second)] == [PDF, PDF]


@pytest.mark.parametrize(
    ("attachment", "reason"),
    [
        (form(data="JVBERi0"), "document-unreadable"),
        ({"contentType": "application/pdf"}, "document-empty"),
    ],
)
def test_a_form_that_cannot_be_read_waits_and_the_results_are_filed(
    main_lab: SendingLaboratory, now: datetime, attachment: dict[str, Any], reason: str
) -> None:
    with identity(system("registration")):
        SendingLaboratory.objects.filter(id=main_lab.id).update(client_id="mainlab-client")
    result = observation(id="alt")
    answer = by_fhir(annas(result, fhir_report("Observation/alt", presentedForm=[attachment])), now)
    assert [line.reason for line in answer.lines if line.fate == "queued"] == [reason]
    assert any(line.patient_id for line in answer.lines)
    assert stored() == []


def test_an_address_is_kept_for_staff_and_never_fetched(
    main_lab: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    with identity(system("registration")):
        SendingLaboratory.objects.filter(id=main_lab.id).update(client_id="mainlab-client")
    url = "https://lab.example/900001.pdf"
    by_fhir(annas(fhir_report(presentedForm=[{"url": url}])), now)
    (row,) = stored()
    assert row.attachment is None
    assert row.reference is not None
    assert bytes(row.reference).decode().startswith(url)
    assert documents(as_anna) == []
    assert url not in json.dumps(details(as_anna))
    assert content(as_anna, str(row.id)).status_code == 404


def test_a_picture_of_the_body_is_a_document(
    main_lab: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    with identity(system("registration")):
        SendingLaboratory.objects.filter(id=main_lab.id).update(client_id="mainlab-client")
    picture = b"\x89PNG\r\n\x1a\n picture"
    media = {
        "resourceType": "Media",
        "id": "m1",
        "status": "completed",
        "content": form(picture, contentType="image/png"),
    }
    by_fhir(annas(media, fhir_report(media=[{"link": {"reference": "Media/m1"}}])), now)
    (shown,) = documents(as_anna)
    assert shown["type"] == "image/png"
    assert content(as_anna, shown["id"]).content == picture


def test_a_file_about_several_people_is_filed_for_none(
    main_lab: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    with identity(system("registration")):
        SendingLaboratory.objects.filter(id=main_lab.id).update(client_id="mainlab-client")
    somebody = ("urn:uuid:00000000-0000-4000-8000-000000000002", patient("900002", "Probe"))
    other = observation(id="alt", subject={"reference": somebody[0]})
    body = annas(somebody, other, fhir_report("Observation/alt", presentedForm=[form()]))
    answer = by_fhir(body, now)
    assert "document-of-several" in {line.reason for line in answer.lines}
    assert stored() == []


def test_a_damaged_document_waits_with_its_reason_and_without_its_bytes(
    main_lab: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    send_one(now, Obx("31"), ed(value="LIS^AP^PDF^Base64^" + "*" * 5000))
    with identity(system("lab-intake")):
        item = IntakeItem.objects.get()
        message = item.message
    assert item.reason == "document-unreadable"
    assert "cannot be decoded" in item.words
    assert item.segment is not None
    assert len(bytes(item.segment)) < 400
    assert b"*" * 5000 in bytes(message.raw)
    assert [len(report["results"]) for report in details(as_anna)] == [1]


def test_a_correction_brings_a_new_file_and_takes_the_old_one_away(
    main_lab: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    send_one(now, ed())
    (old,) = documents(as_anna)
    send_one(now, ed(PDF + b" corrected", status="C"), resulted=LATER)
    (new,) = documents(as_anna)
    assert content(as_anna, new["id"]).content == PDF + b" corrected"
    assert content(as_anna, old["id"]).status_code == 404
    assert len(stored()) == 2
    assert details(as_anna)[0]["corrected"]


def test_the_same_file_again_is_nothing_new(main_lab: SendingLaboratory, now: datetime) -> None:
    send_one(now, ed())
    send_one(now, ed())
    assert len(stored()) == 1


def test_a_withdrawn_document_is_gone(
    cast: Cast, main_lab: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    send_one(now, Obx("31"), ed())
    (old,) = documents(as_anna)
    send_one(now, ed(value="", status="D"), resulted=LATER)
    assert documents(as_anna) == []
    assert content(as_anna, old["id"]).status_code == 404
    assert seen_as(cast) == (0, 0)


def seen_as(cast: Cast) -> tuple[int, int]:
    """Return how many documents and files row security alone shows Anna."""
    with identity(viewer_of(cast.anna_user).identity):
        return Document.objects.count(), Attachment.objects.count()


def hold(analyte: str, until: datetime | None = None) -> None:
    with identity(system("lab-intake")):
        Observation.objects.current().filter(analyte_key=analyte).update(
            visible_from=until,
            release_basis="rule" if until else "",
            release_rule_version="test-1" if until else "",
        )


@pytest.mark.parametrize("until", [None, datetime.fromisoformat("2099-01-01T00:00:00+00:00")])
def test_a_file_is_kept_from_her_while_any_result_of_its_report_is(
    cast: Cast,
    main_lab: SendingLaboratory,
    as_anna: Api,
    now: datetime,
    until: datetime | None,
) -> None:
    send_one(now, Obx("31"), Obx("40", "1920-8", "AST"), ed())
    (shown,) = documents(as_anna)
    assert seen_as(cast) == (1, 1)
    hold("alt", until)
    assert documents(as_anna) == []
    assert seen_as(cast) == (0, 0)
    answer = content(as_anna, shown["id"])
    absent = content(as_anna, str(new_id()))
    assert answer.status_code == 404
    assert _without_id(answer) == _without_id(absent)
    dora = api_of(cast.dora, LABS)
    path = f"patients/{cast.anna.id}/documents/{shown['id']}/content"
    assert dora.get(path).status_code == 404
    hold("alt", now)
    assert content(as_anna, shown["id"]).content == PDF


def test_a_file_that_tells_a_withdrawn_result_goes_until_a_new_one_comes(
    cast: Cast, main_lab: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    send_one(now, Obx("31"), Obx("40", "1920-8", "AST"), ed())
    send_one(now, Obx("31", status="D"), resulted=LATER)
    assert documents(as_anna) == []
    assert seen_as(cast) == (0, 0)
    after = now + timedelta(minutes=1)
    send_one(after, ed(PDF + b" without ALT", status="C"), resulted="20261120122500+0100")
    (shown,) = documents(as_anna)
    assert content(as_anna, shown["id"]).content == PDF + b" without ALT"


def test_a_file_that_comes_with_the_withdrawal_is_shown(
    main_lab: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    send_one(now, Obx("31"), Obx("40", "1920-8", "AST"), ed())
    send_one(now, Obx("31", status="D"), ed(PDF + b" anew", status="C"), resulted=LATER)
    (shown,) = documents(as_anna)
    assert content(as_anna, shown["id"]).content == PDF + b" anew"


def test_a_held_document_leaves_every_answer_as_if_it_had_never_come(
    cast: Cast, main_lab: SendingLaboratory, as_anna: Api, now: datetime
) -> None:
    send_one(now, Obx("31"), filler="FL1")
    before = [as_anna.get(f"patients/me/{path}") for path in ("reports", "results", "analytes")]
    send_one(now, ed(PDF, status="P"), filler="FL2")
    assert len(stored()) == 1
    after = [as_anna.get(f"patients/me/{path}") for path in ("reports", "results", "analytes")]
    assert [answer["ETag"] for answer in before] == [answer["ETag"] for answer in after]
    assert seen_as(cast) == (0, 0)


def test_the_selectors_hide_it_without_row_security(
    cast: Cast, main_lab: SendingLaboratory, now: datetime
) -> None:
    from core.errors import NotFound
    from labs import selectors

    send_one(now, Obx("31"), ed())
    (row,) = stored()
    viewers = [viewer_of(cast.anna_user), viewer_of(cast.brigid.user)]  # type: ignore[arg-type]
    with identity(system("lab-intake")):
        assert selectors.document_for(viewers[0], document_id=row.id, now=now)
        with pytest.raises(NotFound):
            selectors.document_for(viewers[1], document_id=row.id, now=now)
        Observation.objects.filter(analyte_key="alt").update(
            visible_from=None, release_basis="", release_rule_version=""
        )
        with pytest.raises(NotFound):
            selectors.document_for(viewers[0], document_id=row.id, now=now)
        report = selectors.report_with_results(viewers[0], report_id=row.report_id, now=now)[0]
        assert report["documents"] == []


def test_staff_of_another_clinic_reach_neither_row_nor_file(
    cast: Cast, main_lab: SendingLaboratory, now: datetime
) -> None:
    from patients.viewer import staff_viewer

    send_one(now, ed())
    counts = {}
    for name in ("nurse", "other_nurse", "desk", "lab"):
        with identity(staff_viewer(user=getattr(cast, name), now=now).identity):
            counts[name] = (Document.objects.count(), Attachment.objects.count())
    assert counts == {"nurse": (1, 1), "other_nurse": (0, 0), "desk": (0, 0), "lab": (0, 0)}


def test_files_are_encrypted_and_never_changed(main_lab: SendingLaboratory, now: datetime) -> None:
    send_one(now, ed())
    with identity(system("lab-intake")):
        with connection.cursor() as cursor:
            cursor.execute("SELECT content FROM core_attachment")
            (kept,) = cursor.fetchone()
        assert b"PDF" not in bytes(kept)
        for change in (
            "UPDATE core_attachment SET area = 'x'",
            "DELETE FROM core_attachment",
            "UPDATE labs_document SET title = 'x'",
        ):
            with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(change)


def test_a_patient_adds_no_file(cast: Cast, main_lab: SendingLaboratory, now: datetime) -> None:
    from core.attachments import attachment_of

    with (
        pytest.raises(DatabaseError),
        identity(viewer_of(cast.anna_user).identity),
    ):
        attachment_of(patient_id=cast.anna.id, area="labs", content=PDF, now=now).save()
