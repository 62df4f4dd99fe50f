"""What the demo's blood tests say over two years: invented values that tell a story.

A story is a pure function of how far the two years have gone. Values are in conventional units
(U/L, mg/dL, g/dL); a laboratory that writes SI gets them converted on the way out.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Analyte:
    """How a demo laboratory reports one analyte. Ranges are the demo laboratory's own."""

    key: str
    loinc: str
    name: str
    unit: str
    low: Decimal
    high: Decimal
    places: int
    si_loinc: str = ""
    si_unit: str = ""
    si_factor: Decimal = Decimal(1)


def _d(text: str) -> Decimal:
    return Decimal(text)


ANALYTES = {
    "alt": Analyte("alt", "1742-6", "ALT", "U/L", _d("10"), _d("40"), 0),
    "ast": Analyte("ast", "1920-8", "AST", "U/L", _d("10"), _d("35"), 0),
    "alp": Analyte("alp", "6768-6", "Alkaline phosphatase", "U/L", _d("35"), _d("104"), 0),
    "ggt": Analyte("ggt", "2324-2", "GGT", "U/L", _d("6"), _d("42"), 0),
    "bilirubin_total": Analyte(
        "bilirubin_total", "1975-2", "Bilirubin, total", "mg/dL", _d("0.2"), _d("1.2"), 1,
        "14631-6", "umol/L", _d("17.1"),
    ),
    "albumin": Analyte(
        "albumin", "1751-7", "Albumin", "g/dL", _d("3.5"), _d("5.0"), 1, "1751-7", "g/L", _d("10")
    ),
    "calcium_total": Analyte(
        "calcium_total", "17861-6", "Calcium", "mg/dL", _d("8.6"), _d("10.2"), 1,
        "2000-8", "mmol/L", _d("0.2495"),
    ),
    "creatinine": Analyte(
        "creatinine", "2160-0", "Creatinine", "mg/dL", _d("0.5"), _d("1.1"), 2,
        "14682-9", "umol/L", _d("88.4"),
    ),
}  # fmt: skip

Values = dict[str, float]
_STEADY: Values = {
    "alt": 24, "ast": 22, "alp": 78, "ggt": 26, "bilirubin_total": 0.6,
    "albumin": 4.1, "calcium_total": 9.4, "creatinine": 0.8,
}  # fmt: skip


def _late(progress: float, start: float) -> float:
    """Return 0 before `start`, then 0 to 1 by the end."""
    return max(0.0, (progress - start) / (1 - start))


def _drug_hurts_liver(p: float) -> Values:
    late = _late(p, 0.75)
    return {"alt": 26 + 150 * late, "ast": 24 + 95 * late, "ggt": 30 + 40 * late}


def _high_calcium(p: float) -> Values:
    late = _late(p, 0.85)
    return {
        "calcium_total": 9.5 + 3.0 * late,
        "albumin": 4.0 - 1.0 * late,
        "alp": 95 + 130 * _late(p, 0.5),
        "creatinine": 0.85 + 0.3 * late,
    }


def _liver_recovers(p: float) -> Values:
    left = max(0.0, 1 - p * 1.6)
    return {"alt": 24 + 130 * left, "ast": 23 + 110 * left, "alp": 80 + 190 * left,
            "ggt": 30 + 180 * left, "bilirubin_total": 0.6 + 0.9 * left}  # fmt: skip


def _low_calcium(p: float) -> Values:
    return {"calcium_total": 9.2 - 1.2 * _late(p, 0.8), "alp": 130 - 40 * p}


def _liver_worsens(p: float) -> Values:
    late = _late(p, 0.6)
    return {"alt": 34 + 200 * late, "ast": 33 + 240 * late, "alp": 110 + 300 * late,
            "ggt": 60 + 420 * late, "bilirubin_total": 0.7 + 2.9 * _late(p, 0.8),
            "albumin": 4.0 - 0.9 * late}  # fmt: skip


def _bone_heals(p: float) -> Values:
    bump = max(0.0, 1 - abs(p - 0.4) * 4)
    return {"alp": 120 + 110 * bump - 40 * p}


def _unchanged(p: float) -> Values:
    return {}


STORIES: dict[str, Callable[[float], Values]] = {
    "steady": _unchanged,
    "no-ranges": _unchanged,
    "drug-hurts-liver": _drug_hurts_liver,
    "high-calcium": _high_calcium,
    "liver-recovers": _liver_recovers,
    "low-calcium": _low_calcium,
    "liver-worsens": _liver_worsens,
    "bone-heals": _bone_heals,
}


def values_at(story: str, progress: float, dice: random.Random) -> dict[str, Decimal]:
    """Return one draw's values at `progress` (0 to 1), with a few percent of daily noise."""
    means = {**_STEADY, **STORIES[story](progress)}
    drawn: dict[str, Decimal] = {}
    for key, mean in means.items():
        spread = 0.015 if key in {"albumin", "calcium_total"} else 0.05
        value = max(mean * dice.gauss(1, spread), 0.01)
        drawn[key] = Decimal(str(value)).quantize(Decimal(1).scaleb(-ANALYTES[key].places))
    return drawn
