"""Albumin-corrected calcium: when it may be worked out, and which calcium comes first.

Public: `corrected_calcium(...) -> CorrectedCalcium | NotCorrected`, `Measurement`,
`KidneyAndProtein`, `Obstacle`, `preferred_calcium(...)`, `CalciumSource`, `DERIVED_LABEL`.

A derived value may add a task for staff. It never hides the laboratory's total calcium and
never turns a flag of the laboratory off.

Source: Payne-type formula as printed by Medscape, GPnotebook, West Midlands palliative
guide: total Ca (mg/dL) + 0.8 x (4.0 - albumin g/dL); total Ca (mmol/L) + 0.02 x
(40 - albumin g/L). Limits of use: Lian and Asberg, BMJ Open 2018 (eGFR); Clase (dialysis);
Cambio (high albumin); GPnotebook (paraprotein).
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from clinical.analytes import by_key
from clinical.units import Unit, convert, unit_of_ucum
from clinical.values import ObservedValue

METHOD = "corrected-calcium-albumin-40-1"
"""Stored with each derived value."""

DERIVED_LABEL = "Worked out from calcium and albumin. Not a lab measurement."

_MG_DL, _MMOL_L = unit_of_ucum("mg/dL"), unit_of_ucum("mmol/L")
_G_DL, _G_L = unit_of_ucum("g/dL"), unit_of_ucum("g/L")
_FINAL = frozenset({"F", "C", "A", "B", "V", "U"})


class Obstacle(StrEnum):
    """Why the corrected calcium is not worked out."""

    NOT_FINAL = "not_final"
    NOT_A_PLAIN_NUMBER = "not_a_plain_number"
    UNIT_UNKNOWN = "unit_unknown"
    NOT_COMPARABLE = "not_comparable"
    OTHER_SPECIMEN = "other_specimen"
    ALBUMIN_TOO_LOW = "albumin_too_low"
    ALBUMIN_HIGH = "albumin_high"
    LOW_EGFR = "low_egfr"
    EGFR_UNKNOWN_CREATININE_RAISED = "egfr_unknown_creatinine_raised"
    DIALYSIS = "dialysis"
    PARAPROTEIN = "paraprotein"


OBSTACLE_TEXT = {
    Obstacle.NOT_FINAL: "One of the two results is not final.",
    Obstacle.NOT_A_PLAIN_NUMBER: "One of the two results is not a plain number.",
    Obstacle.UNIT_UNKNOWN: "One of the two results has no known unit.",
    Obstacle.NOT_COMPARABLE: "One of the two results needs a check first.",
    Obstacle.OTHER_SPECIMEN: "Calcium and albumin are not from the same sample.",
    Obstacle.ALBUMIN_TOO_LOW: "Albumin is too low for the formula.",
    Obstacle.ALBUMIN_HIGH: "Albumin is too high for the formula.",
    Obstacle.LOW_EGFR: "The formula is not good when the kidneys filter less.",
    Obstacle.EGFR_UNKNOWN_CREATININE_RAISED: "Creatinine is raised and no eGFR is known.",
    Obstacle.DIALYSIS: "The formula is not good for people on dialysis.",
    Obstacle.PARAPROTEIN: "The formula is not good with an abnormal blood protein.",
}


@dataclass(frozen=True, slots=True)
class Measurement:
    """One version of one result that enters the formula.

    `status` is OBX-11. `comparable` is that of its verdict. `specimen` is the specimen
    (SPM-2) or filler order number, None when not sent.
    """

    version_id: str
    value: ObservedValue
    unit: Unit | None
    status: str
    comparable: bool
    specimen: str | None
    collected_at: datetime | None


@dataclass(frozen=True, slots=True)
class KidneyAndProtein:
    """What else must be known. `egfr` in mL/min/1.73 m2; `creatinine_raised` None = unknown."""

    egfr: ObservedValue | None = None
    creatinine_raised: bool | None = None
    on_dialysis: bool = False
    paraprotein: bool = False


@dataclass(frozen=True, slots=True)
class CorrectedCalcium:
    """A derived value in the unit of the total calcium, exact, not rounded."""

    value: Decimal
    unit: Unit
    method: str
    calcium_version: str
    albumin_version: str
    label: str = DERIVED_LABEL


@dataclass(frozen=True, slots=True)
class NotCorrected:
    """Every reason why no value was worked out; at least one."""

    obstacles: tuple[Obstacle, ...]


def corrected_calcium(
    *, calcium: Measurement, albumin: Measurement, background: KidneyAndProtein
) -> CorrectedCalcium | NotCorrected:
    """Return total calcium corrected for albumin, or all reasons why not."""
    obstacles = [*_unusable(calcium, albumin), *_background_obstacles(background)]
    ca, alb = calcium.value.number, albumin.value.number
    if ca is None or alb is None or calcium.unit is None or albumin.unit is None:
        return NotCorrected(tuple(obstacles))
    albumin_g_dl = convert(alb, albumin.unit, _G_DL)
    albumin_g_l = convert(alb, albumin.unit, _G_L)
    molar = calcium.unit.dimension in ("molar_concentration", "equivalents")
    analyte = by_key("calcium_total")
    amount = convert(ca, calcium.unit, _MMOL_L if molar else _MG_DL, analyte)
    if albumin_g_dl is None or albumin_g_l is None or amount is None:
        return NotCorrected((*obstacles, Obstacle.UNIT_UNKNOWN))
    if albumin_g_dl < 1:
        obstacles.append(Obstacle.ALBUMIN_TOO_LOW)
    if albumin_g_dl > 4:
        obstacles.append(Obstacle.ALBUMIN_HIGH)
    if obstacles:
        return NotCorrected(tuple(dict.fromkeys(obstacles)))
    if molar:
        value = amount + Decimal("0.02") * (40 - albumin_g_l)
    else:
        value = amount + Decimal("0.8") * (4 - albumin_g_dl)
    return CorrectedCalcium(
        value=value,
        unit=_MMOL_L if molar else _MG_DL,
        method=METHOD,
        calcium_version=calcium.version_id,
        albumin_version=albumin.version_id,
    )


def _unusable(calcium: Measurement, albumin: Measurement) -> list[Obstacle]:
    obstacles = []
    both = (calcium, albumin)
    if any(m.status not in _FINAL for m in both):
        obstacles.append(Obstacle.NOT_FINAL)
    if any(m.value.number is None for m in both):
        obstacles.append(Obstacle.NOT_A_PLAIN_NUMBER)
    if any(m.unit is None for m in both):
        obstacles.append(Obstacle.UNIT_UNKNOWN)
    if any(not m.comparable for m in both):
        obstacles.append(Obstacle.NOT_COMPARABLE)
    same_specimen = calcium.specimen is not None and calcium.specimen == albumin.specimen
    same_time = calcium.collected_at is not None and calcium.collected_at == albumin.collected_at
    if not (same_specimen or same_time):
        obstacles.append(Obstacle.OTHER_SPECIMEN)
    return obstacles


def _background_obstacles(background: KidneyAndProtein) -> list[Obstacle]:
    obstacles = []
    egfr = background.egfr.interval if background.egfr is not None else None
    if egfr is None:
        if background.creatinine_raised:
            obstacles.append(Obstacle.EGFR_UNKNOWN_CREATININE_RAISED)
    elif egfr.low is None or egfr.low < 60:
        # "<90" could be anything below 90: not shown to be 60 or more.
        obstacles.append(Obstacle.LOW_EGFR)
    if background.on_dialysis:
        obstacles.append(Obstacle.DIALYSIS)
    if background.paraprotein:
        obstacles.append(Obstacle.PARAPROTEIN)
    return obstacles


class CalciumSource(StrEnum):
    """The calcium values of one specimen, best first."""

    IONIZED = "calcium_ionized"
    LAB_CORRECTED = "calcium_corrected"
    DERIVED = "derived"
    TOTAL = "calcium_total"


def preferred_calcium(available: frozenset[CalciumSource]) -> CalciumSource | None:
    """Return the calcium to look at first, None when there is none.

    Measured ionized calcium, then the laboratory's albumin-corrected value, then our own,
    then plain total calcium.
    """
    return next((source for source in CalciumSource if source in available), None)
