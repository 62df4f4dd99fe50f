"""The few FHIR elements we use, checked as they are read. Source: FHIR R4 data types."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from labs.fhir.json_text import FhirError, dump
from labs.hl7.codes import CodedElement
from labs.hl7.facts import NO_ENTITY, NO_TIME, EntityId
from labs.hl7.timestamps import Timestamp, read_timestamp

LOINC: Final = "http://loinc.org"
UCUM: Final = "http://unitsofmeasure.org"
MAX_DIGITS: Final = 18
_MOMENT: Final = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?"
    r"(Z|[+-]\d\d:\d\d))?)?)?",
    re.ASCII,
)
_IMPOSSIBLE: Final = frozenset({"time-format", "time-month", "time-day", "time-clock", "time-zone"})


@dataclass(slots=True)
class Clock:
    """What reading a time needs: the sender's zone, and when the message came in.

    `asked_zone`: a time came without an offset, so that the zone made a difference.
    """

    zone: ZoneInfo
    now: datetime | None
    asked_zone: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """A JSON object and where it stands. `container` is the resource that contains it.

    Every getter raises FhirError `element-invalid` where the JSON type is wrong.
    """

    data: dict[str, Any] = field(repr=False)
    path: str
    container: "Node | None" = None

    @property
    def type(self) -> str:
        return self.text("resourceType")

    def invalid(self, code: str, name: str = "") -> FhirError:
        return FhirError(code, f"{self.path}.{name}" if name else self.path)

    def has(self, name: str) -> bool:
        return name in self.data

    def text(self, name: str) -> str:
        value = self.data.get(name, "")
        if not isinstance(value, str):
            raise self.invalid("element-invalid", name)
        return value

    def required(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise self.invalid("element-missing", name)
        return value

    def number(self, name: str) -> Decimal | None:
        value = self.data.get(name)
        if value is not None and not isinstance(value, Decimal):
            raise self.invalid("element-invalid", name)
        return value

    def child(self, name: str) -> "Node | None":
        value = self.data.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.invalid("element-invalid", name)
        return Node(value, f"{self.path}.{name}", self.container)

    def children(self, name: str) -> list["Node"]:
        value = self.data.get(name, [])
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            raise self.invalid("element-invalid", name)
        return [
            Node(entry, f"{self.path}.{name}[{position}]", self.container)
            for position, entry in enumerate(value)
        ]

    def texts(self, name: str) -> list[str]:
        value = self.data.get(name, [])
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise self.invalid("element-invalid", name)
        return value

    def as_sent(self) -> str:
        """Return it as compact JSON, without its narrative, documents and what it contains."""
        left_out = ("text", "contained", "presentedForm") if self.has("resourceType") else ()
        return dump({name: v for name, v in self.data.items() if name not in left_out})


def moment(node: Node, name: str, clock: Clock) -> Timestamp:
    """Read a dateTime or instant. An impossible day or clock is invalid; an odd year is not.

    Raises: FhirError `date-invalid`.
    """
    sent = node.text(name)
    if not sent:
        return NO_TIME
    match = _MOMENT.fullmatch(sent)
    if match is None:
        raise node.invalid("date-invalid", name)
    *parts, fraction, zone = match.groups()
    digits = "".join(part or "" for part in parts)
    digits += f".{fraction[:9]}" if fraction else ""
    digits += "" if zone is None else "+0000" if zone == "Z" else zone.replace(":", "")
    clock.asked_zone = clock.asked_zone or zone is None
    read = read_timestamp(digits, clock.zone, now=clock.now)
    if _IMPOSSIBLE.intersection(read.faults):
        raise node.invalid("date-invalid", name)
    return replace(read, raw=sent)


def codings(concept: Node) -> Iterator[tuple[str, str, str]]:
    """Yield code, display and system of each coding that has a code."""
    for coding in concept.children("coding"):
        if code := coding.text("code"):
            yield code, coding.text("display"), coding.text("system")


def coded(concept: Node | None) -> CodedElement:
    """Return a CodeableConcept as two triplets: LOINC first, then another code.

    Two different LOINC codes become the two triplets, so that the conflict is seen.
    """
    if concept is None:
        return CodedElement()
    found = list(codings(concept))
    text = concept.text("text")
    loinc = [entry for entry in found if entry[2] == LOINC]
    others = [entry for entry in found if entry[2] != LOINC]
    rivals = [entry for entry in loinc[1:] if entry[0] != loinc[0][0]]
    chosen = [*loinc[:1], *rivals, *others][:2]
    triplets = [(code, display, "LN" if system == LOINC else system)
                for code, display, system in chosen]  # fmt: skip
    first, second = [*triplets, ("", "", ""), ("", "", "")][:2]
    return CodedElement(first[0], first[1] or text, first[2], *second, text)


def entity(identifier: Node | None) -> EntityId:
    if identifier is None:
        return NO_ENTITY
    return EntityId(identifier.text("value"), identifier.text("system"))


def first_entity(node: Node, name: str = "identifier") -> EntityId:
    found = (entity(identifier) for identifier in node.children(name))
    return next((one for one in found if one.value), NO_ENTITY)


def plain(number: Decimal) -> str:
    """Return the number in digits; one that no laboratory measures in its short form."""
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(exponent) > MAX_DIGITS:
        return str(number)
    return f"{number:f}"


def measured(number: Decimal) -> bool:
    """Say whether a laboratory could have measured it: digits and size in bounds."""
    return "E" not in plain(number) and len(number.as_tuple().digits) <= MAX_DIGITS


def unit_of(quantity: Node) -> CodedElement:
    """Return the UCUM code, else the unit as written."""
    unit, code = quantity.text("unit"), quantity.text("code")
    if quantity.text("system") == UCUM and code:
        return CodedElement(code=code, text=unit, system="UCUM")
    return CodedElement(text=unit or code, system=quantity.text("system") if code else "")
