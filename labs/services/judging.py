"""From one OBX to one judged result, by the rules of `clinical/` and this sender's settings."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from clinical.analytes import by_loinc
from clinical.flags import ReviewCode
from clinical.reference_ranges import RangeProblem, ReferenceRange, parse_reference_range
from clinical.result_status import Handling, ResultStatus, result_status
from clinical.specimens import SEVERAL, without_tag
from clinical.states import CRITICAL_STATES
from clinical.units import Unit, normalise_unit
from clinical.values import ObservedValue, parse_value
from clinical.verdict import ResultInput, Verdict, judge
from labs.documents import BINARY_TYPES, Documents, documents_of
from labs.hl7.codes import CodedElement
from labs.hl7.oru import ObservationLine, Report, join_notes
from labs.hl7.timestamps import Timestamp
from labs.models import Observation
from labs.services.senders import SenderSettings

# What a line may carry and still be filed: its meaning is not in doubt.
_HARMLESS_FAULTS = frozenset({"loinc-check-digit", "loinc-conflict"})
EffectiveBasis = Observation.EffectiveBasis
# More than forty printed pages, more flags than any table has: nobody reads that on a phone.
MAX_TEXT = 100_000
MAX_FLAGS = 50


@dataclass(frozen=True, slots=True)
class Person:
    """What judging must know of the patient: for ranges by sex and age."""

    sex: str
    birth_date: date


@dataclass(frozen=True, slots=True)
class JudgedLine:
    """One OBX, understood. `refusal` is why it cannot be filed, empty when it can."""

    line: ObservationLine
    report: Report
    specimen: str
    specimen_type: str
    body_site: str
    loinc: str
    analyte_key: str
    value: ObservedValue
    value_text: str
    unit: Unit | None
    lab_range: ReferenceRange | RangeProblem
    status: ResultStatus
    verdict: Verdict
    effective_at: datetime
    effective_basis: str
    doubts: tuple[str, ...]
    refusal: str
    documents: Documents = field(default_factory=Documents)

    @property
    def is_critical(self) -> bool:
        return self.verdict.staff_critical or self.verdict.state in CRITICAL_STATES

    @property
    def comment(self) -> str:
        return join_notes(self.line.notes)

    @property
    def fhir_status(self) -> str:
        return self.status.fhir_status or _FHIR_STATUS.get(self.status.handling, "unknown")


_FHIR_STATUS = {
    Handling.FILE: "final",
    Handling.PROMOTE: "final",
    Handling.ADD_COMMENT: "final",
    Handling.VERIFY: "final",
    Handling.PENDING: "registered",
    Handling.PRELIMINARY: "preliminary",
}


def judge_line(
    line: ObservationLine,
    report: Report,
    *,
    settings: SenderSettings,
    person: Person | None,
    message_at: Timestamp,
    received_at: datetime,
    earlier_dimensions: Mapping[str, frozenset[str]],
) -> JudgedLine:
    """Return what `line` says and what we say about it.

    `earlier_dimensions`: unit families of earlier results by analyte. `person` None (nobody
    matched): configured ranges stay out. Never raises on content.
    """
    comma = settings.laboratory.decimal_comma and not line.plain_decimals
    loinc = settings.loinc_of(line)
    analyte = by_loinc(loinc) if loinc else None
    key = analyte.key if analyte else None
    is_document = line.value_type.strip().upper() in BINARY_TYPES
    documents = documents_of(line.value_type, line.components)
    value = parse_value(line.value_type, documents.words) if is_document else _value(line, comma)
    unit = normalise_unit(line.unit_text, key, settings.laboratory.unit_aliases)
    lab_range = parse_reference_range(line.range_text, decimal_comma=comma, analyte_key=key)
    effective_at, basis, doubts = _effective(line, report, message_at, received_at)
    configured = None
    if person is not None and key is not None:
        day = effective_at.astimezone(settings.zone).date()
        configured = settings.configured_range(
            analyte_key=key,
            loinc=loinc,
            sex=person.sex,
            age_years=_age_years(person.birth_date, day),
            on=day,
        )
    verdict = judge(
        ResultInput(
            analyte_key=key,
            value=value,
            unit_raw=line.unit_text,
            unit=unit,
            lab_range=lab_range,
            status=line.status,
            configured_range=configured,
            flags=line.flags,
            sender=settings.options,
            previous_dimensions=earlier_dimensions.get(key or "", frozenset()),
        )
    )
    judged = JudgedLine(
        line=line,
        report=report,
        specimen=_specimen(line, report),
        specimen_type=_words(specimen.type for specimen in report.specimens_of(line)),
        body_site=_words(specimen.body_site for specimen in report.specimens_of(line)),
        loinc=loinc,
        analyte_key=key or "",
        value=value,
        value_text=documents.words if is_document else "\n".join(line.texts),
        unit=unit,
        lab_range=lab_range,
        status=result_status(line.status),
        verdict=verdict,
        effective_at=effective_at,
        effective_basis=basis,
        doubts=doubts,
        refusal="",
        documents=documents,
    )
    return replace(judged, refusal=_refusal(judged))


def _refusal(judged: JudgedLine) -> str:
    line = judged.line
    grave = [fault for fault in line.faults if fault not in _HARMLESS_FAULTS]
    if grave:
        return grave[0]
    if not judged.loinc:
        named = [fault for fault in line.faults if fault in _HARMLESS_FAULTS]
        return named[0] if named else "unknown-code"
    if judged.value.interval is not None and line.unit_text.strip() and judged.unit is None:
        return "unknown-unit"
    texts = (judged.value_text, judged.comment, join_notes(judged.report.notes))
    if max(map(len, texts)) > MAX_TEXT or len(line.flags) > MAX_FLAGS:
        return "text-too-long"
    return judged.documents.fault


def _value(line: ObservationLine, decimal_comma: bool) -> ObservedValue:
    if len(line.components) == 1:
        return parse_value(line.value_type, line.components[0], decimal_comma=decimal_comma)
    if not line.components:
        return parse_value(line.value_type, "")
    # Several repetitions are a text of several lines, never a number.
    return parse_value("FT", "\n".join(line.texts))


def _effective(
    line: ObservationLine, report: Report, message_at: Timestamp, received_at: datetime
) -> tuple[datetime, str, tuple[str, ...]]:
    """Return the clinical time, where it stood, and which sent times could not be used."""
    specimen = line.specimen or report.specimen
    specimen_at = specimen.collected_at if specimen else Timestamp()
    candidates = (
        (line.observed_at, EffectiveBasis.OBSERVED),
        (report.collected_at, EffectiveBasis.COLLECTED),
        (specimen_at, EffectiveBasis.SPECIMEN),
        (report.result_at, EffectiveBasis.RESULTED),
        (message_at, EffectiveBasis.MESSAGE),
    )
    doubts = tuple(
        dict.fromkeys(
            fault for time, _ in candidates[:4] for fault in time.faults if fault in _TIME_DOUBTS
        )
    )
    for time, basis in candidates:
        if time.instant is not None and "time-future" not in time.faults:
            return time.instant, basis, doubts
    return received_at, EffectiveBasis.RECEIVED, doubts


_TIME_DOUBTS = frozenset(
    {
        "time-format",
        "time-year",
        "time-month",
        "time-day",
        "time-clock",
        "time-zone",
        "time-future",
    }
)


def _specimen(line: ObservationLine, report: Report) -> str:
    specimen = line.specimen or report.specimen
    return specimen.identifier.value if specimen else ""


def _words(sent: Iterable[CodedElement]) -> str:
    """Return what was named, once each: a result of several specimens may be about any."""
    named = (
        without_tag(one.text or one.original_text or one.alt_text or one.code or one.alt_code)
        for one in sent
    )
    return SEVERAL.join(dict.fromkeys(filter(None, named)))[:200]


def _age_years(born: date, on: date) -> int:
    return max(0, on.year - born.year - ((on.month, on.day) < (born.month, born.day)))


def digest(*parts: object) -> str:
    """Return a SHA-256 over `parts`, each kept apart from its neighbours."""
    text = "\x1f".join("" if part is None else str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()


def filler_key(report: Report) -> str:
    """Return what the laboratory calls this order: OBR-3, else OBR-2, else what identifies it."""
    for prefix, entity in (("F", report.filler), ("P", report.placer)):
        if entity.value:
            return f"{prefix}:{entity.value}^{entity.authority}"[:300]
    return f"C:{digest(report.code.code, report.code.text, report.collected_at.raw)}"


def identity_base(judged: JudgedLine, laboratory_id: object) -> str:
    """Return the identity of a result: sender, order, code, sub-id, specimen or collection time.

    Source: HL7 intake rules: (sender, OBR-3, OBX-3 code and system, OBX-4, specimen or OBR-7).
    """
    code = judged.line.code
    return digest(
        laboratory_id,
        filler_key(judged.report),
        code.code or code.alt_code or code.text,
        code.system if code.code else code.alt_system,
        judged.line.sub_id,
        judged.specimen or judged.report.collected_at.instant or judged.report.collected_at.raw,
    )


def content_hash(judged: JudgedLine) -> str:
    """Return a hash of what was sent and of what it was taken to mean.

    The same content again is no new version; the same content read with a new code map,
    alias or range is one.
    """
    verdict, used = judged.verdict, judged.verdict.range_used
    return digest(
        judged.line.status,
        judged.report.result_at.instant,
        judged.value_text,
        judged.line.unit_text,
        judged.line.range_text,
        "~".join(judged.line.flags),
        judged.comment,
        judged.effective_at,
        judged.loinc,
        judged.unit.ucum if judged.unit else "",
        verdict.state,
        verdict.rule_id,
        used.low if used else "",
        used.high if used else "",
        *(document.digest for document in judged.documents.sent),
        *filter(None, (judged.specimen_type, judged.body_site and f"of {judged.body_site}")),
    )


# Judgements that a person of the laboratory or the clinic must settle. Critical ones are work
# items, not queue rows.
QUEUED_DOUBTS = frozenset(
    {
        ReviewCode.FLAG_UNKNOWN,
        ReviewCode.FLAG_MICROBIOLOGY,
        ReviewCode.FLAGS_CONTRADICT,
        ReviewCode.DISCREPANCY,
        ReviewCode.UNIT_MISSING,
        ReviewCode.UNIT_UNKNOWN,
        ReviewCode.UNIT_MISMATCH,
        ReviewCode.UNIT_SUSPECT,
        ReviewCode.UNIT_ASK,
        ReviewCode.IMPLAUSIBLE,
        ReviewCode.RANGE_UNREADABLE,
        ReviewCode.CONFIGURED_RANGE_UNIT,
        ReviewCode.OFF_SCALE_UNCONFIGURED,
        ReviewCode.LAB_INVALID,
        ReviewCode.LAB_HOLD,
    }
)
