"""What kind of report it is: measured by a laboratory, or written by somebody who looked.

Public: `ReportKind`, `kind_of(category, loinc)`, `what_it_is(kind)`, `LABORATORY_CATEGORIES`,
`NARRATIVE_CATEGORIES`.

Source: HL7 table 0074 (diagnostic service sections) in HL7 v2.5.1; FHIR R4 value sets
diagnostic-service-sections and observation-category; LOINC parts LP7839-6 (pathology),
LP29684-5 (radiology), LP29693-6 (laboratory) of US Core; LOINC document codes.
"""

from enum import StrEnum
from typing import Final


class ReportKind(StrEnum):
    """The kinds that a page draws differently."""

    LABORATORY = "laboratory"
    PATHOLOGY = "pathology"
    IMAGING = "imaging"
    PROCEDURE = "procedure"
    OTHER = "other"


_BY_CATEGORY: Final = {
    **dict.fromkeys(
        ("laboratory", "LAB", "CH", "HM", "IMM", "MB", "MCB", "MYC", "VR", "SR", "TX", "BLB"),
        ReportKind.LABORATORY,
    ),
    **dict.fromkeys(
        ("PAR", "GE", "CG", "BG", "ICU", "OSL", "LP29693-6"),
        ReportKind.LABORATORY,
    ),
    **dict.fromkeys(("SP", "CP", "PAT", "LP7839-6"), ReportKind.PATHOLOGY),
    **dict.fromkeys(
        ("RAD", "RX", "RUS", "OUS", "VUS", "CUS", "CT", "NMR", "NMS", "XRC", "imaging"),
        ReportKind.IMAGING,
    ),
    "LP29684-5": ReportKind.IMAGING,
    **dict.fromkeys(("CTH", "procedure"), ReportKind.PROCEDURE),
}
# The document says more than the section: a bronchoscopy is often sent by the laboratory.
_BY_LOINC: Final = {
    **dict.fromkeys(
        (
            "11526-1",  # Pathology study
            "11529-5",  # Surgical pathology study
            "60567-5",  # Comprehensive pathology report panel
            "60568-3",  # Pathology synoptic report
            "22637-3",  # Pathology report final diagnosis
            "33717-0",  # Cytology report of cervical or vaginal smear
            "47527-7",  # Cytology report
        ),
        ReportKind.PATHOLOGY,
    ),
    **dict.fromkeys(
        ("18748-4", "18782-3", "19005-8"),  # Diagnostic imaging study, its findings, impression
        ReportKind.IMAGING,
    ),
    **dict.fromkeys(
        ("18744-3", "28570-0", "11504-8", "59776-5"),  # Bronchoscopy, procedure, surgical note
        ReportKind.PROCEDURE,
    ),
}
LABORATORY_CATEGORIES: Final = frozenset(
    code for code, kind in _BY_CATEGORY.items() if kind is ReportKind.LABORATORY
)
NARRATIVE_CATEGORIES: Final = frozenset(
    code for code, kind in _BY_CATEGORY.items() if kind is not ReportKind.LABORATORY
)

_WHAT: Final = {
    ReportKind.LABORATORY: "A lab measured something in your blood, or in another sample.",
    ReportKind.PATHOLOGY: (
        "A doctor looked at a sample of tissue or fluid under a microscope "
        "and wrote down what was there."
    ),
    ReportKind.IMAGING: "A doctor looked at pictures of your body and wrote down what they show.",
    ReportKind.PROCEDURE: "A doctor wrote down what was done and what was seen.",
    ReportKind.OTHER: "Your clinic sent a report in words.",
}
_ASK_FIRST: Final = (
    " It is written for doctors. Some words may be hard or sound worse than they are. "
    "Your care team can go through it with you."
)


def kind_of(category: str, loinc: str) -> ReportKind:
    """Return the kind by the code of the document, else by its section.

    Without a section a report is a laboratory's; an unknown section is none we can name.
    """
    known = _BY_LOINC.get(loinc)
    if known is not None:
        return known
    if not category:
        return ReportKind.LABORATORY
    return _BY_CATEGORY.get(category, ReportKind.OTHER)


def what_it_is(kind: ReportKind) -> str:
    """Return what such a report is, in plain words; never what it means for her."""
    return _WHAT[kind] + ("" if kind is ReportKind.LABORATORY else _ASK_FIRST)
