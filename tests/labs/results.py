"""Results as intake leaves them: judged by the rules, filed as laboratory intake would."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from accounts.models import Organization
from clinical.analytes import by_key
from clinical.reference_ranges import ReferenceRange, parse_reference_range
from clinical.states import PortalState, tier_of
from clinical.units import normalise_unit
from clinical.values import parse_value
from clinical.verdict import ResultInput, judge
from core.db import identity, system
from core.ids import new_id
from labs.models import DiagnosticReport, InboundMessage, Observation, SendingLaboratory
from labs.queues import refresh_queue_marks
from patients.models import Patient

COLLECTED = datetime(2026, 11, 2, 8, 30, tzinfo=UTC)
TEST_RULE = "test-1"

# analyte: range as printed, unit
USUAL = {
    "alt": ("7-35", "U/L"),
    "ast": ("10-35", "U/L"),
    "alp": ("35-104", "U/L"),
    "ggt": ("5-36", "U/L"),
    "bilirubin_total": ("0.2-1.2", "mg/dL"),
    "albumin": ("3.5-5.2", "g/dL"),
    "calcium_total": ("8.6-10.2", "mg/dL"),
}


@dataclass
class Line:
    """One result to file. `more` overrides columns."""

    analyte: str
    value: str
    range: str | None = None
    unit: str | None = None
    flags: tuple[str, ...] = ()
    status: str = "F"
    held: bool = False
    visible_from: datetime | None = None
    more: dict[str, Any] = field(default_factory=dict)


def make_laboratory(clinic: Organization, key: str = "mainlab") -> SendingLaboratory:
    with identity(system("lab-intake")):
        return SendingLaboratory.objects.create(
            key=key, name="Main Laboratory", organization=clinic, zone="Europe/Berlin"
        )


def make_message(laboratory: SendingLaboratory, at: datetime) -> InboundMessage:
    body = str(new_id())
    digest = hashlib.sha256(body.encode()).hexdigest()
    with identity(system("lab-intake")):
        return InboundMessage.objects.create(
            laboratory=laboratory,
            door="mllp",
            received_at=at,
            raw=body.encode(),
            size=len(body),
            sha256=digest,
            body_hash=digest,
            control_id=body,
            control_key=digest,
            message_type="ORU^R01",
            ack_code="AA",
            receipt="accepted",
            parser_version="test",
        )


def file_report(
    patient: Patient,
    laboratory: SendingLaboratory,
    lines: Sequence[Line],
    *,
    at: datetime = COLLECTED,
    name: str = "Liver panel",
) -> DiagnosticReport:
    """File one report whose results were released when they were filed, unless a line says so."""
    message = make_message(laboratory, at)
    report_key = str(new_id())
    with identity(system("lab-intake")):
        report = DiagnosticReport.objects.create(
            patient=patient,
            laboratory=laboratory,
            filler_key=report_key,
            code="24325-3",
            loinc="24325-3",
            name=name,
            version=1,
            status="final",
            collected_at=at,
            resulted_at=at + timedelta(hours=3),
            effective_at=at,
            filed_at=at + timedelta(hours=4),
        )
        made = [
            _observation(line, report, message, position)
            for position, line in enumerate(lines, start=1)
        ]
        Observation.objects.bulk_create(made)
        shown = [result.visible_from for result in made if result.visible_from]
        report.visible_from = min(shown, default=None)
        report.save(update_fields=["visible_from"])
        refresh_queue_marks([report.id], patient_id=patient.id)
    return report


def _observation(
    line: Line, report: DiagnosticReport, message: InboundMessage, position: int
) -> Observation:
    analyte = by_key(line.analyte)
    usual_range, usual_unit = USUAL.get(line.analyte, ("", ""))
    range_text = usual_range if line.range is None else line.range
    unit_text = usual_unit if line.unit is None else line.unit
    unit = normalise_unit(unit_text, line.analyte)
    value = parse_value("ST", line.value)
    sent = parse_reference_range(range_text, analyte_key=line.analyte)
    verdict = judge(
        ResultInput(
            analyte_key=line.analyte,
            value=value,
            unit_raw=unit_text,
            unit=unit,
            lab_range=sent,
            status=line.status,
            flags=line.flags,
        )
    )
    state = PortalState.HELD if line.held else verdict.state
    used = verdict.range_used
    bounds = sent if isinstance(sent, ReferenceRange) else None
    interval = value.interval
    released = None if line.held else line.visible_from or report.filed_at
    columns: dict[str, Any] = {
        "patient_id": report.patient_id,
        "report": report,
        "laboratory_id": report.laboratory_id,
        "message": message,
        "identity_key": str(new_id()),
        "version": 1,
        "content_hash": str(new_id()),
        "analyte_key": line.analyte,
        "loinc": analyte.loinc_primary,
        "code": analyte.loinc_primary,
        "code_text": analyte.short_name,
        "code_system": "LN",
        "display_name": analyte.short_name,
        "position": position,
        "obx_index": position,
        "value_type": "NM",
        "value_text": line.value,
        "value_kind": value.kind,
        "value_low": interval.low if interval else None,
        "value_high": interval.high if interval else None,
        "comparator": value.comparator or "",
        "unit_text": unit_text,
        "unit_ucum": unit.ucum if unit else "",
        "unit_dimension": unit.dimension if unit else "",
        "range_text": range_text,
        "range_low": bounds.low if bounds else None,
        "range_high": bounds.high if bounds else None,
        "flags": list(line.flags),
        "status_sent": line.status,
        "status": {"F": "final", "C": "corrected", "P": "preliminary"}[line.status],
        "effective_at": report.effective_at,
        "effective_basis": "collected",
        "issued_at": report.resulted_at,
        "state": state,
        "tier": tier_of(state, analyte.concern),
        "rule_id": verdict.rule_id,
        "rule_version": verdict.rule_version,
        "basis": verdict.basis,
        "reason": verdict.reason,
        "computed_state": verdict.computed_state,
        "flag_state": verdict.flag_state or "",
        "discrepancy": verdict.discrepancy,
        "staff_critical": verdict.staff_critical,
        "comparable": verdict.comparable,
        "review_codes": [str(code) for code in verdict.needs_review],
        "range_used_low": used.low if used else None,
        "range_used_high": used.high if used else None,
        "parser_version": "test",
        "filed_at": report.filed_at,
        "visible_from": released,
        "release_basis": "rule" if released else "",
        "release_rule_version": TEST_RULE if released else "",
        "announced_at": released,
    }
    return Observation(**{**columns, **line.more})


def result_of(report: DiagnosticReport, analyte: str) -> Observation:
    """Return the current result of one analyte in a report."""
    with identity(system("lab-intake")):
        return Observation.objects.current().get(report=report, analyte_key=analyte)


def correct(result: Observation, line: Line, *, at: datetime) -> Observation:
    """File the next version of a result."""
    with identity(system("lab-intake")):
        old = Observation.objects.get(id=result.id)
        report = DiagnosticReport.objects.get(id=old.report_id)
        message = make_message(report.laboratory, at)
        Observation.objects.filter(id=old.id).update(superseded_at=at)
        made = _observation(line, report, message, old.position)
        made.identity_key, made.version = old.identity_key, old.version + 1
        made.supersedes, made.filed_at = old, at
        made.save(force_insert=True)
        refresh_queue_marks([report.id], patient_id=report.patient_id)
    return made


def withdraw(result: Observation, *, at: datetime) -> None:
    """Take a result back, as a wrong-patient status would."""
    with identity(system("lab-intake")):
        Observation.objects.filter(id=result.id).update(
            withdrawn_at=at, visible_from=None, release_basis="", release_rule_version=""
        )
        refresh_queue_marks([result.report_id], patient_id=result.patient_id)
