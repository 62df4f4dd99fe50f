"""Observation rows from judged lines."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from clinical.analytes import by_key
from clinical.reference_ranges import RangeProblem, ReferenceRange
from clinical.states import PortalState
from clinical.verdict import Verdict
from labs.models import DiagnosticReport, InboundMessage, Observation
from labs.readings import format_of
from labs.services.judging import JudgedLine
from labs.services.release import NOT_RELEASED, Release


def observation_row(
    judged: JudgedLine,
    *,
    message: InboundMessage,
    report: DiagnosticReport,
    identity_key: str,
    content: str,
    ordering_at: datetime | None,
    release: Release | None,
    filed_by_id: UUID | None,
    now: datetime,
) -> Observation:
    """Return the unsaved version of a judged line; its place in the chain is the caller's.

    `release` None: a version that came too late and is never shown.
    """
    release = release or NOT_RELEASED
    line, code = judged.line, judged.line.code
    interval = judged.value.interval
    return Observation(
        patient_id=report.patient_id,
        report=report,
        laboratory=message.laboratory,
        identity_key=identity_key,
        version=1,
        content_hash=content,
        ordering_at=ordering_at,
        analyte_key=judged.analyte_key,
        loinc=judged.loinc,
        code=code.code[:200],
        code_text=code.text[:500],
        code_system=code.system[:200],
        alt_code=code.alt_code[:200],
        alt_text=code.alt_text[:500],
        alt_system=code.alt_system[:200],
        display_name=display_name(judged),
        sub_id=line.sub_id[:200],
        specimen=judged.specimen[:200],
        specimen_type=judged.specimen_type,
        body_site=judged.body_site,
        position=line.obx_index,
        value_type=line.value_type[:10],
        value_text=judged.value_text,
        value_kind=judged.value.kind.value,
        value_low=interval.low if interval else None,
        value_high=interval.high if interval else None,
        comparator=judged.value.comparator or "",
        unit_text=line.unit_text[:100],
        unit_system=line.unit_system[:100],
        unit_ucum=judged.unit.ucum if judged.unit else "",
        unit_dimension=judged.unit.dimension if judged.unit else "",
        range_text=line.range_text[:500],
        flags=[flag[:20] for flag in line.flags],
        status_sent=line.status[:10],
        status=judged.fhir_status,
        effective_at=judged.effective_at,
        effective_basis=judged.effective_basis,
        issued_at=judged.report.result_at.instant,
        method=(line.method.text or line.method.code)[:200],
        performer=line.performing_lab[:300],
        lab_comment=judged.comment,
        message=message,
        obx_index=line.obx_index,
        parser_version=format_of(message.door).version,
        filed_by_id=filed_by_id,
        filed_at=now,
        visible_from=release.visible_from,
        release_basis=release.basis,
        release_rule_version=release.rule_version,
        released_by_id=release.released_by_id,
        announced_at=release.announced_at(now),
        **range_columns(judged.lab_range, judged.verdict),
        **verdict_columns(judged.verdict),
    )


def verdict_columns(verdict: Verdict) -> dict[str, object]:
    return {
        "state": verdict.state.value,
        "tier": verdict.tier.value,
        "rule_id": verdict.rule_id,
        "rule_version": verdict.rule_version,
        "basis": verdict.basis.value,
        "reason": verdict.reason[:500],
        "computed_state": verdict.computed_state.value,
        "flag_state": verdict.flag_state.value if verdict.flag_state else "",
        "discrepancy": verdict.discrepancy,
        "staff_critical": verdict.staff_critical,
        "comparable": verdict.comparable,
        "review_codes": [code.value for code in verdict.needs_review],
    }


def range_columns(
    lab_range: ReferenceRange | RangeProblem, verdict: Verdict
) -> dict[str, Decimal | bool | None]:
    sent = lab_range if isinstance(lab_range, ReferenceRange) else None
    used = verdict.range_used
    edges = used or sent
    return {
        "range_low": sent.low if sent else None,
        "range_high": sent.high if sent else None,
        "range_used_low": used.low if used else None,
        "range_used_high": used.high if used else None,
        "range_low_inclusive": edges.low_inclusive if edges else True,
        "range_high_inclusive": edges.high_inclusive if edges else True,
    }


def display_name(judged: JudgedLine) -> str:
    """Return the plain name of a known analyte, else the laboratory's own words."""
    if judged.analyte_key:
        return by_key(judged.analyte_key).plain_name
    code = judged.line.code
    named = (code.text, code.alt_text, code.original_text, code.code, code.alt_code, judged.loinc)
    return next(name for name in (*named, "Result") if name)[:500]


def withheld(row: Observation, *, now: datetime) -> bool:
    """Say whether this version is for staff only at `now`."""
    if row.visible_from is None or row.visible_from > now:
        return True
    return row.state in (PortalState.HELD, PortalState.RETRACTED)
