"""HL7 v2.5.1 messages of the demo's laboratories."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from portal.demo.people import Person, Sender
from portal.demo.stories import ANALYTES, Analyte

# How far beyond its own range a demo laboratory calls a value critical.
_CRITICAL = {"calcium_total": (Decimal("7.0"), Decimal("12.0")), "alt": (None, Decimal("1000"))}


@dataclass(frozen=True, slots=True)
class Draw:
    """One blood draw: values in conventional units by analyte key."""

    number: int
    collected_at: datetime
    values: dict[str, Decimal]


def _stamp(instant: datetime, zone: str) -> str:
    return instant.astimezone(ZoneInfo(zone)).strftime("%Y%m%d%H%M%S%z")


def _flag(analyte: Analyte, value: Decimal) -> str:
    low, high = _CRITICAL.get(analyte.key, (None, None))
    if high is not None and value >= high:
        return "HH"
    if low is not None and value <= low:
        return "LL"
    if value > analyte.high:
        return "H"
    return "L" if value < analyte.low else ""


def _number(value: Decimal, comma: bool) -> str:
    text = format(value, "f")
    return text.replace(".", ",") if comma else text


def _line(index: int, analyte: Analyte, value: Decimal, sender: Sender, observed: str) -> str:
    flag = _flag(analyte, value)
    low, high, unit, loinc = analyte.low, analyte.high, analyte.unit, analyte.loinc
    if sender.si_units and analyte.si_unit:
        places = Decimal("0.01") if analyte.key == "calcium_total" else Decimal("1")
        value, low, high = (
            (number * analyte.si_factor).quantize(places) for number in (value, low, high)
        )
        unit, loinc = analyte.si_unit, analyte.si_loinc
    comma = sender.decimal_comma
    span = f"{_number(low, comma)}-{_number(high, comma)}" if sender.sends_ranges else ""
    sent_flag = flag if sender.sends_ranges else ""
    return (
        f"OBX|{index}|NM|{loinc}^{analyte.name}^LN||{_number(value, comma)}|{unit}^^UCUM|{span}"
        f"|{sent_flag}|||F|||{observed}"
    )


def oru(person: Person, sender: Sender, draw: Draw, *, control_id: str) -> bytes:
    """Return the ORU^R01 of one draw, resulted two hours after collection."""
    observed = _stamp(draw.collected_at, sender.zone)
    resulted = _stamp(draw.collected_at + timedelta(hours=2), sender.zone)
    sex = {"female": "F", "male": "M"}.get(person.sex, "U")
    order = f"{person.record_number}-{draw.number}"
    obr = [""] * 26
    obr[0], obr[1], obr[2], obr[3] = "OBR", "1", f"P{order}^EHR", f"F{order}^LIS"
    obr[4] = "24323-8^Comprehensive metabolic panel^LN"
    obr[7], obr[22], obr[24], obr[25] = observed, resulted, "CH", "F"
    segments = [
        f"MSH|^~\\&|LIS|{sender.key.upper()}|PORTAL|LINDEN|{resulted}||ORU^R01^ORU_R01|{control_id}"
        "|P|2.5.1||||||UNICODE UTF-8",
        f"PID|1||{person.record_number}^^^{sender.authority}^MR||{person.family}^{person.given}||"
        f"{person.born:%Y%m%d}|{sex}",
        "|".join(obr),
    ]
    for index, (key, value) in enumerate(draw.values.items(), start=1):
        segments.append(_line(index, ANALYTES[key], value, sender, observed))
    return ("\r".join(segments) + "\r").encode()
