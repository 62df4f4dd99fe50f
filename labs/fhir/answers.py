"""Decide how a FHIR body is answered, and write the OperationOutcome.

Source: FHIR R4 OperationOutcome (issue types) and Bundle (transaction-response).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from labs.fhir.json_text import FhirError
from labs.fhir.reader import OpenedBody, read_opened
from labs.hl7.answers import AckCode, Header, Intake

NOT_SUPPORTED: Final = frozenset({"not-supported", "entry-not-supported"})
_ISSUE_TYPES: Final = {
    "not-supported": "not-supported",
    "entry-not-supported": "not-supported",
    "json-invalid": "structure",
    "json-duplicate-key": "structure",
    "json-too-deep": "structure",
    "empty": "required",
    "element-missing": "required",
    "resource-type-missing": "required",
    "no-pid": "required",
    "nothing-usable": "required",
    "too-many-observations": "too-costly",
    "body-too-large": "too-long",
    "bundle-duplicate-id": "duplicate",
    "not-authenticated": "login",
    "forbidden": "forbidden",
    "unsupported-media-type": "not-supported",
    "method-not-allowed": "not-supported",
}


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue of an OperationOutcome. `diagnostics` never holds anything that was sent."""

    severity: str
    type: str
    code: str
    diagnostics: str = ""
    expression: str = ""

    def as_json(self) -> dict[str, Any]:
        made: dict[str, Any] = {
            "severity": self.severity,
            "code": self.type,
            "details": {"coding": [{"code": self.code}]},
        }
        if self.diagnostics:
            made["diagnostics"] = self.diagnostics
        if self.expression:
            made["expression"] = [self.expression]
        return made


def classify_fhir(raw: bytes, now: datetime | None = None) -> Intake[OpenedBody]:
    """Decide on one body, received at `now`, by its content alone. Never raises.

    What nobody could file is refused; what is labelled as test data goes to the test area.
    """
    try:
        opened = read_opened(raw, now=now)
    except FhirError as error:
        ack: AckCode = "AR" if error.code in NOT_SUPPORTED else "AE"
        header = Header(readable=True)
        return Intake(None, header, ack, "refused", (error.code,), error.expression)
    read = opened.facts
    header = Header(
        sending_application=read.sending_application,
        control_id=read.control_id,
        message_type=read.message_type,
        version=read.version,
        processing_id=read.processing_id,
        readable=True,
    )
    if read.processing_id != "P":
        return Intake(opened, header, "AA", "test-area", ("processing-id-not-p",))
    return Intake(opened, header, "AA", "accept", ())


def problem(code: str, diagnostics: str = "", expression: str = "") -> Issue:
    return Issue("error", _ISSUE_TYPES.get(code, "invalid"), code, diagnostics, expression)


def outcome(issues: Iterable[Issue]) -> dict[str, Any]:
    """Return an OperationOutcome; without an issue it says that all is well."""
    found = [issue.as_json() for issue in issues]
    fine = Issue("information", "informational", "stored").as_json()
    return {"resourceType": "OperationOutcome", "issue": found or [fine]}


def bundle_response(
    kind: str, entries: Iterable[tuple[str, list[Issue]]], issues: list[Issue]
) -> dict[str, Any]:
    """Return the response to a Bundle of `kind`: one entry for each one sent, in their order.

    `entries`: HTTP status and issues of each. `issues` that belong to no entry come in an
    OperationOutcome of their own after them.
    """
    made: list[Mapping[str, Any]] = []
    for status, own in entries:
        response: dict[str, Any] = {"status": status}
        if own:
            response["outcome"] = outcome(own)
        made.append({"response": response})
    if issues:
        made.append({"resource": outcome(issues), "response": {"status": "200 OK"}})
    answer = "batch-response" if kind == "batch" else "transaction-response"
    return {"resourceType": "Bundle", "type": answer, "entry": made}
