"""Observations as result lines: value, unit, range, flags and status in the words that the HL7
reader uses. Source: FHIR R4 Observation; HL7 v2-to-FHIR maps (tables 0078, 0085, 0123)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from labs.fhir.elements import (
    Clock,
    Node,
    coded,
    codings,
    measured,
    moment,
    plain,
    unit_of,
)
from labs.hl7.codes import CodedElement, choose_loinc, loinc_faults
from labs.hl7.facts import NO_CODE, NO_TIME, ObservationLine, Specimen
from labs.hl7.timestamps import Timestamp

STATUS: Final = {
    "registered": "I",
    "preliminary": "P",
    "final": "F",
    "amended": "A",
    "corrected": "C",
    "cancelled": "X",
    "entered-in-error": "D",
    "unknown": "",
}
_FLAG_SYSTEMS: Final = frozenset(
    {
        "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",
        "http://terminology.hl7.org/CodeSystem/v2-0078",
    }
)
_COMPARATORS: Final = frozenset({"<", "<=", ">=", ">"})
_VALUE_NAME: Final = re.compile(r"value[A-Z]\w*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Value:
    """What value[x] says, as OBX-2, OBX-5 and OBX-6 would. No components = nothing sent."""

    type: str = ""
    components: tuple[str, ...] = ()
    text: str = ""
    unit: CodedElement = NO_CODE
    fault: str = ""


def value_of(node: Node) -> Value:
    """Read value[x] or dataAbsentReason of an Observation or component.

    Raises: FhirError `several-values`, `value-and-reason`, `value-type-invalid`,
    `comparator-invalid`, `element-invalid`.
    """
    names = [name for name in node.data if _VALUE_NAME.fullmatch(name)]
    if len(names) > 1:
        raise node.invalid("several-values")
    reason = node.child("dataAbsentReason")
    if names and reason is not None:
        raise node.invalid("value-and-reason")
    if reason is not None:
        code = next((code for code, _, _ in codings(reason)), "") or reason.text("text")
        # As a coded value: a code that consists of digits is not a measurement.
        return _said("CWE", code)
    return _value(node, names[0]) if names else Value()


def _value(node: Node, name: str) -> Value:
    match name.removeprefix("value"):
        case "Quantity":
            return _quantity(node.child(name) or node)
        case "CodeableConcept":
            return _concept(node.child(name) or node)
        case "String":
            return _said("ST", node.text(name))
        case "Integer":
            number = node.number(name)
            return _said("NM", "" if number is None else plain(number))
        case "Boolean":
            if not isinstance(node.data[name], bool):
                raise node.invalid("element-invalid", name)
            return _said("ID", "yes" if node.data[name] else "no")
        case "Range":
            return _between(node.child(name) or node)
        case "Ratio":
            return _ratio(node.child(name) or node)
        case "Time" | "DateTime":
            return _said("DTM", node.text(name))
        case "Period" | "SampledData":
            return Value(fault="value-unreadable")
    raise node.invalid("value-type-invalid", name)


def _said(value_type: str, text: str, unit: CodedElement = NO_CODE) -> Value:
    return Value(value_type, (text,) if text else (), text, unit)


def _quantity(quantity: Node) -> Value:
    number, comparator = quantity.number("value"), quantity.text("comparator")
    if comparator and comparator not in _COMPARATORS:
        raise quantity.invalid("comparator-invalid", "comparator")
    text = "" if number is None else f"{comparator}{plain(number)}"
    return _said("NM", text, unit_of(quantity))


def _concept(concept: Node) -> Value:
    code = coded(concept)
    words = concept.text("text") or code.text or code.code
    return Value("CWE", (code.code, words, code.system), words) if words else Value()


def _between(sent: Node) -> Value:
    low, high = sent.child("low"), sent.child("high")
    ends = [end.number("value") if end else None for end in (low, high)]
    if low is None or high is None or None in ends or unit_of(low) != unit_of(high):
        return Value(fault="value-unreadable")
    return _said("ST", "-".join(plain(end) for end in ends if end is not None), unit_of(low))


def _ratio(ratio: Node) -> Value:
    parts = [ratio.child(name) for name in ("numerator", "denominator")]
    read = [_quantity(part) for part in parts if part is not None]
    if len(read) != 2 or any(part.unit for part in read):
        return Value(fault="value-unreadable")
    return _said("ST", ":".join(part.text for part in read))


def range_text(node: Node, unit: CodedElement) -> str:
    """Return the one reference range as OBX-7 would say it; bounds are inclusive.

    Several ranges are alternatives, and one that is not the usual range or holds only for some
    people is a choice that is not ours: such texts say so and can be read as no range.
    """
    ranges = node.children("referenceRange")
    texts = [_one_range(entry, unit) for entry in ranges]
    if len(texts) > 1:
        return "several ranges: " + "; ".join(texts)
    return texts[0] if texts else ""


def _one_range(entry: Node, unit: CodedElement) -> str:
    low, high = entry.child("low"), entry.child("high")
    text = entry.text("text")
    if low is not None or high is not None:
        text = _bounds(low, high, unit)
    kind = entry.child("type")
    usual = kind is None or any(code == "normal" for code, _, _ in codings(kind))
    if not usual or modified(entry) or entry.has("appliesTo") or entry.has("age"):
        return f"only for some: {text}"
    return text


def _bounds(low: Node | None, high: Node | None, unit: CodedElement) -> str:
    ends: list[str] = []
    suffixes: set[str] = set()
    for sign, end in ((">=", low), ("<=", high)):
        number = end.number("value") if end else None
        if end is None:
            continue
        if number is None or not measured(number) or end.has("comparator"):
            return "bound not readable"
        own = unit_of(end)
        suffixes.add("" if not own or own in (unit, NO_CODE) else f" {own.code or own.text}")
        ends.append(plain(number) if low and high else f"{sign}{plain(number)}")
    if len(suffixes) > 1:
        return "bounds in two units"
    return "-".join(ends) + suffixes.pop()


def flags_of(node: Node) -> tuple[str, ...]:
    """Return the code of each interpretation; one from no known table stays as it was sent."""
    found = []
    for concept in node.children("interpretation"):
        sent = list(codings(concept))
        known = [code for code, _, system in sent if system in _FLAG_SYSTEMS]
        found.append((known or [code for code, _, _ in sent] or [concept.text("text")])[0])
    return tuple(flag for flag in found if flag)


def effective(node: Node, clock: Clock) -> Timestamp:
    """Return effective[x]: the start of a period, or its end when it has no start."""
    if node.has("effectiveInstant"):
        return moment(node, "effectiveInstant", clock)
    period = node.child("effectivePeriod")
    if period is None:
        return moment(node, "effectiveDateTime", clock)
    start, end = moment(period, "start", clock), moment(period, "end", clock)
    return start if start.raw else end


def status_of(node: Node) -> tuple[str, tuple[str, ...]]:
    """Return the letter of OBX-11 and the fault of a status that says nothing.

    Raises: FhirError `element-missing`, `status-invalid`.
    """
    word = node.required("status")
    if word not in STATUS:
        raise node.invalid("status-invalid", "status")
    return STATUS[word], () if STATUS[word] else ("status-unknown",)


def code_of(node: Node) -> CodedElement:
    """Raises: FhirError `element-missing`."""
    code = coded(node.child("code"))
    if not code:
        raise node.invalid("element-missing", "code")
    return code


def modified(node: Node) -> bool:
    """Say whether the sender forbids reading it without knowing its extensions or rules."""
    return node.has("modifierExtension") or node.has("implicitRules")


def lines_of(
    observation: Node,
    *,
    first_index: int,
    clock: Clock,
    performer: str,
    specimen: Specimen,
    faults: Sequence[str] = (),
) -> list[ObservationLine]:
    """Return the Observation's own value, if it has one, and each component, as lines.

    A panel that has only members gives none. `faults` of the report go on every line, as does
    `specimen`, what the Observation was made on.
    """
    status, status_faults = status_of(observation)
    own_code = code_of(observation)
    components = observation.children("component")
    own = value_of(observation)
    has_own = bool(own.components or own.fault)
    parts: list[tuple[Node, str]] = []
    if has_own or not (components or observation.has("hasMember")):
        parts.append((observation, ""))
    parts += [(component, own_code.code or own_code.text) for component in components]
    notes = tuple(note.text("text") for note in observation.children("note"))
    refused = (*faults, *(("modifier-extension",) if modified(observation) else ()))
    lines = []
    for offset, (node, sub_id) in enumerate(parts):
        value, code = value_of(node), code_of(node)
        more = ("modifier-extension",) if node is not observation and modified(node) else ()
        lines.append(
            ObservationLine(
                obx_index=first_index + offset,
                set_id=node.path,
                value_type=value.type,
                code=code,
                loinc=choose_loinc(code),
                sub_id=sub_id,
                values=(value.text,) if value.components else (),
                texts=(value.text,) if value.components else (),
                components=(value.components,) if value.components else (),
                unit=value.unit,
                range_text=range_text(node, value.unit),
                flags=flags_of(node),
                status=status,
                observed_at=effective(observation, clock),
                analysed_at=NO_TIME,
                method=coded(observation.child("method")),
                performing_lab=performer,
                # A comment stands once, not once for each component.
                notes=notes if offset == 0 else (),
                faults=(
                    *filter(None, (*refused, *more, value.fault)),
                    *status_faults,
                    *loinc_faults(code),
                ),
                raw_segment=node.as_sent(),
                plain_decimals=True,
                specimen=specimen,
            )
        )
    return lines


def refused_line(index: int, node: Node, fault: str) -> ObservationLine:
    """Return a line for what cannot be read as a result, so that a person sees it."""
    return ObservationLine(
        obx_index=index,
        set_id=node.path,
        value_type="",
        code=NO_CODE,
        loinc=None,
        sub_id="",
        values=(),
        texts=(),
        components=(),
        unit=NO_CODE,
        range_text="",
        flags=(),
        status="",
        observed_at=NO_TIME,
        analysed_at=NO_TIME,
        method=NO_CODE,
        performing_lab="",
        notes=(),
        faults=(fault,),
        raw_segment=node.as_sent(),
        plain_decimals=True,
    )
