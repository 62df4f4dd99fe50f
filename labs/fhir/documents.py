"""The parts of a FHIR DiagnosticReport that are no Observations: documents and its conclusion.

They become lines as OBX would bring them. Source: FHIR R4 DiagnosticReport (presentedForm,
media, conclusion), Media, Attachment; HL7 v2-to-FHIR map OBX[DiagnosticReport] (ED).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from clinical.report_kinds import ReportKind, kind_of
from labs.fhir.elements import Clock, Node
from labs.fhir.json_text import dump
from labs.fhir.references import Resources
from labs.fhir.results import effective
from labs.hl7.codes import CodedElement, choose_loinc, loinc_faults
from labs.hl7.facts import NO_CODE, NO_TIME, ObservationLine

# The status of a report in the letters of OBX-11, for what is the report as a whole.
_STATUS: Final = {
    "registered": "P",
    "partial": "P",
    "preliminary": "P",
    "final": "F",
    "amended": "C",
    "corrected": "C",
    "appended": "C",
    "cancelled": "X",
    "entered-in-error": "D",
}
# LOINC 11502-2 is a laboratory report as a document, for reports whose own code is a local one.
_ANY_REPORT: Final = "11502-2"
_CONCLUSION: Final = {
    ReportKind.PATHOLOGY: ("22637-3", "Pathology report final diagnosis"),
    ReportKind.IMAGING: ("19005-8", "Imaging study impression"),
    ReportKind.PROCEDURE: ("59776-5", "Procedure findings"),
}


@dataclass(frozen=True, slots=True)
class WholeReport:
    """What such lines take from their report. `of_several`: it holds results of other people."""

    node: Node
    code: CodedElement
    category: str
    performer: str
    clock: Clock
    of_several: bool

    @property
    def kind(self) -> ReportKind:
        loinc = choose_loinc(self.code)
        return kind_of(self.category, loinc.code if loinc else "")

    @property
    def concludes(self) -> bool:
        """Say whether its conclusion is a section of its own."""
        return bool(self.node.text("conclusion")) and self.kind in _CONCLUSION


def _line(
    report: WholeReport,
    index: int,
    *,
    path: str,
    value_type: str,
    components: tuple[str, ...],
    code: CodedElement,
    sub_id: str,
    as_sent: str,
) -> ObservationLine:
    status = _STATUS.get(report.node.text("status"), "")
    modified = report.node.has("modifierExtension") or report.node.has("implicitRules")
    faults = (
        ("modifier-extension", modified),
        ("document-of-several", report.of_several),
        ("status-unknown", not status),
    )
    return ObservationLine(
        obx_index=index,
        set_id=path,
        value_type=value_type,
        code=code,
        loinc=choose_loinc(code),
        sub_id=sub_id,
        values=components[-1:],
        texts=components[-1:],
        components=(components,),
        unit=NO_CODE,
        range_text="",
        flags=(),
        status=status,
        observed_at=effective(report.node, report.clock),
        analysed_at=NO_TIME,
        method=NO_CODE,
        performing_lab=report.performer,
        notes=(),
        faults=(*(fault for fault, found in faults if found), *loinc_faults(code)),
        raw_segment=as_sent,
        plain_decimals=True,
    )


def document_lines(
    report: WholeReport, *, resources: Resources, first_index: int
) -> list[ObservationLine]:
    """Return a line for each presentedForm and each picture that the body itself brings."""
    code = report.code
    if choose_loinc(code) is None:
        code = CodedElement(_ANY_REPORT, code.text or code.code, "LN", original_text=code.text)
    return [
        _line(
            report,
            first_index + offset,
            path=attachment.path,
            value_type=value_type,
            components=components,
            code=code,
            sub_id=sub_id,
            as_sent=_without_data(attachment),
        )
        for offset, (sub_id, attachment, value_type, components) in enumerate(
            _attachments(report.node, resources)
        )
    ]


def _attachments(
    node: Node, resources: Resources
) -> Iterator[tuple[str, Node, str, tuple[str, ...]]]:
    found = [(f"form {n}", form) for n, form in enumerate(node.children("presentedForm"), 1)]
    for n, entry in enumerate(node.children("media"), 1):
        media = resources.find(entry.child("link"))
        content = media.child("content") if media is not None and media.type == "Media" else None
        if content is not None:
            found.append((f"media {n}", content))
    for sub_id, attachment in found:
        kind, _, subtype = attachment.text("contentType").partition("/")
        if attachment.has("data") or not attachment.has("url"):
            yield sub_id, attachment, "ED", ("", kind, subtype, "Base64", attachment.text("data"))
        else:
            yield sub_id, attachment, "RP", (attachment.text("url"), "", kind, subtype)


def _without_data(attachment: Node) -> str:
    return dump({name: value for name, value in attachment.data.items() if name != "data"})


def conclusion_line(report: WholeReport, *, index: int) -> ObservationLine | None:
    """Return the conclusion of a report in words as its own section; None elsewhere.

    The conclusion of a laboratory report is its comment.
    """
    if not report.concludes:
        return None
    text, named = report.node.text("conclusion"), _CONCLUSION[report.kind]
    return _line(
        report,
        index,
        path=f"{report.node.path}.conclusion",
        value_type="TX",
        components=(text,),
        code=CodedElement(named[0], named[1], "LN"),
        sub_id="conclusion",
        as_sent=text,
    )
