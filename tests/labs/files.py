"""Documents for tests: invented bytes, as HL7 and FHIR would bring them."""

import base64
from typing import Any

from tests.labs.messages import Obx

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
