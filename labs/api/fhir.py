"""The FHIR R4 door for laboratories: a Bundle or report in, what became of it out."""

import re
from collections import defaultdict
from typing import Any, Final

from drf_spectacular.utils import extend_schema
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from labs.api.intake import AnyAccept, BodyParser, LaboratoryDoor
from labs.fhir.answers import Issue, bundle_response, outcome, problem
from labs.services.filing import LineOutcome
from labs.services.intake import Answer
from labs.services.queueing import trouble_of
from labs.services.senders import Door

FHIR_TYPE: Final = "application/fhir+json"
_ENTRY: Final = re.compile(r"Bundle\.entry\[(\d+)\]")
# Reasons that speak of the body alone. What we know of patients and of earlier results is not
# told: a sender could ask in this way who is treated here.
TOLD: Final = frozenset(
    {
        "reference-unresolved",
        "report-withdrawn",
        "report-without-results",
        "modifier-extension",
        "value-unreadable",
        "text-too-long",
        "document-encoding-unknown",
        "document-unreadable",
        "document-too-large",
        "document-empty",
        "document-of-several",
        "status-unknown",
        "code-missing",
        "unknown-code",
        "loinc-conflict",
        "loinc-check-digit",
        "unknown-unit",
        "no-pid",
        "pid-identifier-missing",
        "pid-authority-missing",
        "pid-name-missing",
        "pid-birth-date-missing",
    }
)
_TOO_LARGE: Final = frozenset({"body-too-large", "too-many-observations"})
_WHOLE: Final = {
    "duplicate": ("informational", "This was received before; nothing was done again."),
    "test-area": ("informational", "Labelled as test data: kept, never filed."),
    "received": ("incomplete", "Kept; it will be filed shortly."),
}


class FhirParser(BodyParser):
    media_type = FHIR_TYPE


class FhirRenderer(JSONRenderer):
    media_type = FHIR_TYPE
    format = "fhir"


class FhirNegotiation(AnyAccept):
    readable = frozenset({FHIR_TYPE, "application/json"})


class FhirView(LaboratoryDoor):
    """Takes the results of one laboratory. The body says which resource it is."""

    parser_classes = (FhirParser,)
    renderer_classes = (FhirRenderer,)
    content_negotiation_class = FhirNegotiation
    door = Door.FHIR.value
    operation = "labs.fhir.submit"

    @extend_schema(exclude=True)
    def post(self, request: Request, resource_type: str = "") -> Response:
        [answer] = self.deliver(request, lambda raw: [raw])
        if answer.disposition == "refused":
            reason = answer.reasons[0]
            status = 413 if reason in _TOO_LARGE else 422
            return _response(outcome([problem(reason, expression=answer.expression)]), status)
        return _taken(answer)

    def handle_exception(self, exc: Exception) -> Response:
        response = super().handle_exception(exc)
        told: dict[str, Any] = response.data or {}
        code = str(told.get("code", "internal-error"))
        response.data = outcome([problem(code, str(told.get("title", "")))])
        response.content_type = FHIR_TYPE
        return response


def _response(body: dict[str, Any], status: int) -> Response:
    response = Response(body, status=status, content_type=FHIR_TYPE)
    response["Cache-Control"] = "no-store"
    return response


def _taken(answer: Answer) -> Response:
    whole = _of_the_whole(answer)
    body = answer.parsed.body
    if body.root.type != "Bundle":
        issues = whole + [issue for line in answer.lines for issue in _of_line(line)]
        created = answer.disposition == "stored" and not whole
        return _response(outcome(issues), 201 if created else 200)
    by_entry: dict[int, list[LineOutcome]] = defaultdict(list)
    for line in answer.lines:
        if found := _ENTRY.match(line.judged.line.set_id):
            by_entry[int(found[1])].append(line)
    entries = []
    for number in range(len(body.entries)):
        lines = by_entry[number]
        issues = [issue for line in lines for issue in _of_line(line)]
        filed = any(line.patient_id is not None for line in lines)
        status = "201 Created" if filed else "202 Accepted" if issues else "200 OK"
        entries.append((status, issues))
    return _response(bundle_response(body.root.text("type"), entries, whole), 200)


def _of_the_whole(answer: Answer) -> list[Issue]:
    if answer.disposition in _WHOLE:
        kind, words = _WHOLE[answer.disposition]
        return [Issue("information", kind, answer.disposition, words)]
    if "control-id-reused" in answer.reasons:
        words = trouble_of("control-id-reused").words
        return [Issue("warning", "duplicate", "control-id-reused", words)]
    return []


def _of_line(line: LineOutcome) -> list[Issue]:
    if line.fate != "queued":
        return []
    told = line.reason in TOLD
    code = line.reason if told else "waits-for-review"
    words = trouble_of(line.reason).words if told else "Kept; a person will place it."
    return [Issue("warning", "incomplete", code, words, line.judged.line.set_id)]
