"""Documents for tests: invented bytes, as HL7 and FHIR would bring them."""

import base64
from datetime import datetime
from typing import Any

from core.db import identity, system
from labs.models import Document
from labs.services.intake import Answer, receive
from labs.services.senders import Door, Origin
from tests.labs.fhir_bodies import raw
from tests.labs.messages import Obx
from tests.tokens import Api

PDF = b"%PDF-1.4 an invented report"
HTML = b"<html><script>alert(1)</script></html>"


def in_base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def ed(content: bytes = PDF, **more: Any) -> Obx:
    """Return a line that brings a document; `value` among `more` replaces OBX-5."""
    line: dict[str, Any] = {
        "value": f"LIS^AP^PDF^Base64^{in_base64(content)}",
        "code": "11502-2",
        "name": "Laboratory report",
        "unit": "",
        "range": "",
        "type": "ED",
    }
    return Obx(**{**line, **more})


def text(value: str, code: str = "22637-3", **more: Any) -> Obx:
    """Return a line of a text."""
    named: dict[str, Any] = {"name": "Diagnosis", "unit": "", "range": "", "type": "TX"}
    return Obx(value, code, **{**named, **more})


def form(content: bytes = PDF, **more: Any) -> dict[str, Any]:
    """Return a FHIR Attachment."""
    return {"contentType": "application/pdf", "data": in_base64(content), **more}


def by_fhir(body: dict[str, Any], now: datetime) -> Answer:
    return receive(raw(body), origin=Origin(door=Door.FHIR, client_id="mainlab-client"), now=now)


def details(api: Api) -> list[dict[str, Any]]:
    """Return every report as she reads it."""
    reports = api.get("patients/me/reports").json()["items"]
    return [api.get(f"patients/me/reports/{report['id']}").json() for report in reports]


def stored() -> list[Document]:
    with identity(system("lab-intake")):
        return list(Document.objects.select_related("attachment").order_by("id"))
