"""Units: what a laboratory wrote, what it means, and exact conversion.

Public: `Unit`, `normalise_unit(raw, analyte_key=None, sender_aliases=None)`,
`unit_of_ucum(ucum)`, `accepts(analyte, unit)`, `convert(number, from_unit, to_unit, analyte=None)`.

The alias table comes first and UCUM spelling second, because several spellings that
laboratories use are valid UCUM for something else: K/uL is kelvin per microlitre, G/L is
gauss per litre, AU/mL is astronomical unit per millilitre. A missing or unknown unit is
None; nobody guesses the usual one.

Source: data/unit_aliases.csv, unit_spellings.csv, unit_restrictions.csv, unit_dimensions.csv.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import cache
from types import MappingProxyType

from clinical.analytes import Analyte
from clinical.reference_data import rows, words

_EXACT = Context(prec=60)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit in UCUM. `dimension` is the family inside which conversion is exact."""

    ucum: str
    dimension: str
    factor_to_base: Decimal


@cache
def _units() -> Mapping[str, Unit]:
    return MappingProxyType(
        {
            row["ucum"]: Unit(row["ucum"], row["dimension"], Decimal(row["factor_to_base"]))
            for row in rows("unit_dimensions")
        }
    )


@dataclass(frozen=True, slots=True)
class _Alias:
    ucum: str
    only_for: frozenset[str]


@cache
def _aliases() -> Mapping[str, _Alias]:
    restricted = {
        row["alias_as_sent"]: frozenset(words(row["only_for"])) for row in rows("unit_restrictions")
    }
    table: dict[str, _Alias] = {}
    for row in rows("unit_aliases"):
        # The cell of IU/L reads "[IU]/L -> treat as U/L".
        ucum = row["ucum"].rpartition("treat as ")[2]
        if row["alias_as_sent"] and ucum in _units():
            table[row["alias_as_sent"]] = _Alias(
                ucum, restricted.get(row["alias_as_sent"], frozenset())
            )
    for row in rows("unit_spellings"):
        table[row["alias_as_sent"]] = _Alias(row["ucum"], frozenset(words(row["only_for"])))
    return MappingProxyType(table)


def unit_of_ucum(ucum: str) -> Unit:
    """Return the unit with this UCUM spelling. Raises: KeyError for one we do not know."""
    return _units()[ucum]


def normalise_unit(
    raw: str,
    analyte_key: str | None = None,
    sender_aliases: Mapping[str, str] | None = None,
) -> Unit | None:
    """Return the unit a laboratory meant, None when missing, unknown or ambiguous.

    `analyte_key` opens the spellings that are safe for some analytes only (IU/L for
    enzymes, G/L for cell counts). `sender_aliases` maps spellings that one laboratory has
    confirmed to UCUM and comes before everything else.
    """
    spelling = "".join(raw.split())
    if not spelling:
        return None
    if sender_aliases:
        confirmed = sender_aliases.get(raw.strip(), sender_aliases.get(spelling))
        if confirmed is not None:
            return _units().get(confirmed)
    alias = _aliases().get(spelling)
    if alias is not None:
        if alias.only_for and analyte_key not in alias.only_for:
            return None
        return _units()[alias.ucum]
    return _units().get(spelling)


def accepts(analyte: Analyte, unit: Unit) -> bool:
    """Say whether an analyte can be measured in a unit of this family."""
    return any(_units()[ucum].dimension == unit.dimension for ucum in analyte.accepted_ucum)


def convert(
    number: Decimal, from_unit: Unit, to_unit: Unit, analyte: Analyte | None = None
) -> Decimal | None:
    """Return a number in another unit, None when there is no safe conversion.

    Inside one family the factor is exact. Between mass and molar units the analyte's own
    factor is needed, between equivalents and molar units its charge.
    """
    with localcontext(_EXACT):
        if from_unit.dimension == to_unit.dimension:
            if from_unit.factor_to_base == to_unit.factor_to_base:
                return number
            return _tidy(number * from_unit.factor_to_base / to_unit.factor_to_base)
        if analyte is None:
            return None
        in_molar = _to_si(number, from_unit, analyte)
        return None if in_molar is None else _from_si(in_molar, to_unit, analyte)


def _to_si(number: Decimal, unit: Unit, analyte: Analyte) -> Decimal | None:
    si, conventional = _units()[analyte.ucum_si], _units()[analyte.ucum_conventional]
    if unit.dimension == si.dimension:
        return number * unit.factor_to_base / si.factor_to_base
    if unit.dimension == "equivalents" and analyte.charge and _is_molar(si):
        return number * unit.factor_to_base / analyte.charge / si.factor_to_base
    if unit.dimension == conventional.dimension and analyte.factor:
        return number * unit.factor_to_base / conventional.factor_to_base * analyte.factor
    return None


def _from_si(number: Decimal, unit: Unit, analyte: Analyte) -> Decimal | None:
    si, conventional = _units()[analyte.ucum_si], _units()[analyte.ucum_conventional]
    if unit.dimension == si.dimension:
        return _tidy(number * si.factor_to_base / unit.factor_to_base)
    if unit.dimension == "equivalents" and analyte.charge and _is_molar(si):
        return _tidy(number * si.factor_to_base * analyte.charge / unit.factor_to_base)
    if unit.dimension == conventional.dimension and analyte.factor:
        return _tidy(number / analyte.factor * conventional.factor_to_base / unit.factor_to_base)
    return None


def _is_molar(unit: Unit) -> bool:
    return unit.dimension == "molar_concentration"


def _tidy(number: Decimal) -> Decimal:
    """Drop trailing zeros that a multiplication added, and never write an exponent."""
    if number == 0:
        return Decimal(0)
    plain = number.normalize()
    exponent = plain.as_tuple().exponent
    return plain.quantize(Decimal(1)) if isinstance(exponent, int) and exponent > 0 else plain
