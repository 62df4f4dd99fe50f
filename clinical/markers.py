"""Tumour markers: which test speaks of which, and what a finding is. See `clinical.biomarkers`.

Source: LOINC long common names, compared with the mCODE tumour marker test value set (receptors,
HER2, PD-L1), the pages of LOINC and the German pathology module (percentages) and the HL7 Genomics
Reporting guide (53037-8 with answer list LL4034-6, 69548-6 with LL1971-2, 81247-9).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from clinical.intervals import Interval

NUMBER: Final = r"[0-9]{1,3}(?:\.[0-9]{1,2})?"


class Marker(StrEnum):
    """The markers of a profile; the value is the code of its fact."""

    ER = "ER"
    PR = "PR"
    HER2 = "HER2"
    PIK3CA = "PIK3CA"
    ESR1 = "ESR1"
    BRCA1 = "BRCA1"
    BRCA2 = "BRCA2"
    PDL1 = "PDL1"


class Reading(StrEnum):
    """What a marker is found to be."""

    POSITIVE = "positive"
    LOW = "low"
    ULTRALOW = "ultralow"
    ZERO = "zero"
    NEGATIVE = "negative"
    EQUIVOCAL = "equivocal"
    UNCERTAIN = "uncertain"


class Unread(StrEnum):
    """Why a result is no finding."""

    MISSING = "missing"
    NOT_TESTED = "not-tested"
    NOT_FINAL = "not-final"
    UNKNOWN_TEXT = "unknown-text"
    BETWEEN = "between-categories"
    OUT_OF_BOUNDS = "out-of-bounds"
    CONTRADICTION = "contradiction"
    ASSAY_UNKNOWN = "assay-unknown"


class Kind(StrEnum):
    """How a test says its result."""

    PRESENCE = "presence"
    PERCENT = "percent"
    HER2 = "her2"
    HER2_IHC = "her2-ihc"
    HER2_ISH = "her2-ish"
    VARIANT = "variant"
    SIGNIFICANCE = "significance"
    PDL1 = "pd-l1"


@dataclass(frozen=True, slots=True)
class MarkerTest:
    marker: Marker
    kind: Kind
    assay: str = ""


_TESTS: Final[Mapping[str, MarkerTest]] = MappingProxyType(
    {
        # Estrogen receptor [Interpretation] in Tissue
        "16112-5": MarkerTest(Marker.ER, Kind.PRESENCE),
        # Estrogen receptor Ag [Presence] in Tissue by Immune stain
        "40556-3": MarkerTest(Marker.ER, Kind.PRESENCE),
        # Estrogen receptor Ag [Presence] in Breast cancer specimen by Immune stain
        "85337-4": MarkerTest(Marker.ER, Kind.PRESENCE),
        # Cells.estrogen receptor/cells in Tissue by Immune stain
        "14228-1": MarkerTest(Marker.ER, Kind.PERCENT),
        # Cells.estrogen receptor/cells in Breast cancer specimen by Immune stain
        "85329-1": MarkerTest(Marker.ER, Kind.PERCENT),
        # Progesterone receptor [Interpretation] in Tissue
        "16113-3": MarkerTest(Marker.PR, Kind.PRESENCE),
        # Progesterone receptor Ag [Presence] in Tissue by Immune stain
        "40557-1": MarkerTest(Marker.PR, Kind.PRESENCE),
        # Progesterone receptor Ag [Presence] in Breast cancer specimen by Immune stain
        "85339-0": MarkerTest(Marker.PR, Kind.PRESENCE),
        # Cells.progesterone receptor/cells in Tissue by Immune stain
        "14230-7": MarkerTest(Marker.PR, Kind.PERCENT),
        # Cells.progesterone receptor/cells in Breast cancer specimen by Immune stain
        "85325-9": MarkerTest(Marker.PR, Kind.PERCENT),
        # HER2 [Interpretation] in Tissue
        "48676-1": MarkerTest(Marker.HER2, Kind.HER2),
        # HER2 Ag [Presence] in Tissue by Immune stain
        "18474-7": MarkerTest(Marker.HER2, Kind.HER2_IHC),
        # HER2 [Presence] in Breast cancer specimen by Immune stain
        "85319-2": MarkerTest(Marker.HER2, Kind.HER2_IHC),
        # HER2 [Presence] in Tissue by FISH
        "31150-6": MarkerTest(Marker.HER2, Kind.HER2_ISH),
        # HER2 [Presence] in Breast cancer specimen by FISH
        "85318-4": MarkerTest(Marker.HER2, Kind.HER2_ISH),
        # PIK3CA gene mutations found [Identifier] in Blood or Tissue
        "60033-8": MarkerTest(Marker.PIK3CA, Kind.VARIANT),
        # BRCA1 gene mutations found [Identifier] in Blood or Tissue
        "21636-6": MarkerTest(Marker.BRCA1, Kind.VARIANT),
        # BRCA2 gene mutations found [Identifier] in Blood or Tissue
        "38530-2": MarkerTest(Marker.BRCA2, Kind.VARIANT),
        # PD-L1 by clone 22C3 [Presence] in Tissue by Immune stain
        "83052-1": MarkerTest(Marker.PDL1, Kind.PDL1, "22C3"),
        # PD-L1 by clone 22C3 [Interpretation] in Tissue by Immune stain
        "83054-7": MarkerTest(Marker.PDL1, Kind.PDL1, "22C3"),
        # PD-L1 by clone 22C3 in Tissue by Immune stain Report
        "85147-7": MarkerTest(Marker.PDL1, Kind.PDL1, "22C3"),
        # PD-L1 by clone SP142 [Presence] in Tissue by Immune stain
        "83057-0": MarkerTest(Marker.PDL1, Kind.PDL1, "SP142"),
        # PD-L1 by clone 28-8 [Presence] in Tissue by Immune stain
        "83055-4": MarkerTest(Marker.PDL1, Kind.PDL1, "28-8"),
    }
)
# Genetic variation clinical significance [Imp]: of any gene; the laboratory's words say which.
# Not read: 69548-6 (Genetic variant assessment) says whether one described variant is there, which
# may be a harmless one, and 81247-9 is a panel without a value of its own.
_SIGNIFICANCE: Final = "53037-8"
_GENES: Final = (Marker.PIK3CA, Marker.ESR1, Marker.BRCA1, Marker.BRCA2)


@dataclass(frozen=True, slots=True)
class MarkerResult:
    """One result as it is stored.

    `text` is what the laboratory wrote, `codes` the codes of a coded value. `number` is the
    interval of a numeric value in `unit` (UCUM or as written). `is_final`: a finished status.
    """

    loinc: str
    name: str = ""
    text: str = ""
    codes: tuple[str, ...] = ()
    number: Interval | None = None
    unit: str = ""
    method: str = ""
    is_final: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """What a result says about a marker: `reading`, or `unread` with the reason; never both.

    `source_text` is the laboratory's own; `detail` the score, percentage or assay behind it.
    """

    marker: Marker
    kind: Kind
    source_text: str
    reading: Reading | None = None
    unread: Unread | None = None
    detail: str = ""


def loincs_of(marker: Marker) -> frozenset[str]:
    """Return the codes of the tests that are about this marker alone."""
    return frozenset(loinc for loinc, test in _TESTS.items() if test.marker is marker)


def marker_of(loinc: str, name: str = "") -> MarkerTest | None:
    """Return which marker a LOINC code tests; None for every other test."""
    known = _TESTS.get(loinc)
    if known is not None or loinc != _SIGNIFICANCE:
        return known
    words = set(re.findall(r"[A-Z0-9]+", name.upper()))
    named = [gene for gene in _GENES if gene.value in words]
    return MarkerTest(named[0], Kind.SIGNIFICANCE) if len(named) == 1 else None


@dataclass(frozen=True, slots=True)
class Found:
    """A reading or the reason why there is none, before it belongs to a marker."""

    what: Reading | Unread
    detail: str = ""


def of_words(said: str, words: Mapping[str, Reading], detail: str = "") -> Found:
    """Return the reading of a whole known text; any other text is not read."""
    reading = words.get(said)
    return Found(Unread.UNKNOWN_TEXT) if reading is None else Found(reading, detail or said)
