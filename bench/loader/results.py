"""A million laboratory results, each judged by the project's own rules.

Twenty analytes in a panel, for each a set of values around and beyond its range. The verdict
on each (analyte, value) comes from `clinical.verdict.judge` once; the rows repeat it.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from django.conf import settings

from bench.loader.copying import Lines, unguarded
from bench.loader.people import ZONE, Clinic, Person
from clinical.analytes import by_key
from clinical.reference_ranges import parse_reference_range
from clinical.units import normalise_unit
from clinical.values import parse_value
from clinical.verdict import ResultInput, judge
from core.ids import uuid7
from labs.models import (
    DiagnosticReport,
    InboundMessage,
    Observation,
    ReportVersion,
    SendingLaboratory,
)

RESULTS_A_REPORT = 20
HEAVY_REPORTS = 60
VALUES_AN_ANALYTE = 24
YEARS = 5
SEED = 7

# analyte, range as the laboratory prints it, unit, lowest and highest value in the data
PANEL = (
    ("alt", "7-35", "U/L", "9", "212"),
    ("ast", "10-35", "U/L", "11", "180"),
    ("alp", "35-104", "U/L", "40", "390"),
    ("ggt", "5-36", "U/L", "8", "260"),
    ("bilirubin_total", "0.2-1.2", "mg/dL", "0.3", "3.4"),
    ("albumin", "3.5-5.2", "g/dL", "2.4", "4.9"),
    ("calcium_total", "8.6-10.2", "mg/dL", "8.1", "11.9"),
    ("creatinine", "0.5-1.1", "mg/dL", "0.5", "1.9"),
    ("bun", "8-20", "mg/dL", "9", "41"),
    ("glucose", "70-99", "mg/dL", "72", "168"),
    ("sodium", "136-145", "mmol/L", "129", "146"),
    ("potassium", "3.5-5.1", "mmol/L", "3.1", "5.6"),
    ("chloride", "98-107", "mmol/L", "95", "109"),
    ("co2", "22-29", "mmol/L", "19", "30"),
    ("protein_total", "6.4-8.3", "g/dL", "5.8", "8.4"),
    ("magnesium", "1.6-2.6", "mg/dL", "1.4", "2.6"),
    ("hemoglobin", "12.0-15.5", "g/dL", "8.1", "15.2"),
    ("wbc", "4.0-10.5", "10*3/uL", "1.8", "11.2"),
    ("platelets", "150-400", "10*3/uL", "81", "410"),
    ("neutrophils_abs", "1.8-7.7", "10*3/uL", "0.7", "8.0"),
)


@dataclass(frozen=True)
class LoadedResults:
    """What the rows of the table may ask for. `reports` has one report of each patient."""

    count: int
    reports: dict[UUID, UUID]
    trend_analyte: str


def _laboratory(clinic: Clinic) -> SendingLaboratory:
    return SendingLaboratory.objects.using(settings.OWNER_DATABASE).create(
        key="bench-lab", name="Bench Laboratory", organization=clinic.organization, zone=ZONE
    )


def panel_values(low: str, high: str) -> list[str]:
    """Return evenly spaced values with the precision of `low`."""
    first, last = Decimal(low), Decimal(high)
    step = (last - first) / (VALUES_AN_ANALYTE - 1)
    return [str((first + step * n).quantize(first)) for n in range(VALUES_AN_ANALYTE)]


def _observation(
    position: int, key: str, range_text: str, unit_text: str, value_text: str, now: datetime
) -> Observation:
    """Return an unsaved result with everything that does not vary between patients."""
    analyte = by_key(key)
    unit = normalise_unit(unit_text, key)
    lab_range = parse_reference_range(range_text, analyte_key=key)
    value = parse_value("NM", value_text)
    verdict = judge(
        ResultInput(
            analyte_key=key,
            value=value,
            unit_raw=unit_text,
            unit=unit,
            lab_range=lab_range,
            status="F",
        )
    )
    used = verdict.range_used
    number = Decimal(value_text)
    return Observation(
        version=1,
        analyte_key=key,
        loinc=analyte.loinc_primary,
        code=analyte.loinc_primary,
        code_text=analyte.short_name,
        code_system="LN",
        display_name=analyte.plain_name,
        position=position,
        value_type="NM",
        value_text=value_text,
        value_kind=value.kind,
        value_low=number,
        value_high=number,
        unit_text=unit_text,
        unit_ucum=unit.ucum if unit else "",
        unit_dimension=unit.dimension if unit else "",
        range_text=range_text,
        range_low=used.low if used else None,
        range_high=used.high if used else None,
        status_sent="F",
        status="final",
        effective_basis="collected",
        state=verdict.state,
        tier=verdict.tier,
        rule_id=verdict.rule_id,
        rule_version=verdict.rule_version,
        basis=verdict.basis,
        reason=verdict.reason,
        computed_state=verdict.computed_state,
        flag_state=verdict.flag_state or "",
        discrepancy=verdict.discrepancy,
        staff_critical=verdict.staff_critical,
        comparable=verdict.comparable,
        review_codes=[str(code) for code in verdict.needs_review],
        range_used_low=used.low if used else None,
        range_used_high=used.high if used else None,
        obx_index=position,
        parser_version="bench",
        filed_at=now,
        release_basis="rule",
        release_rule_version="bench",
        announced_at=now,
    )


@dataclass(frozen=True)
class _Report:
    id: UUID
    message_id: UUID
    patient_id: UUID
    collected_at: datetime
    key: str


def _plan(people: Sequence[Person], results: int, now: datetime) -> list[_Report]:
    """Spread reports over people: the first one gets many, the others the rest in turn."""
    chance = random.Random(SEED)
    minutes = YEARS * 365 * 24 * 60
    owners = [people[0]] * HEAVY_REPORTS
    others = people[1:] or people
    owners += [
        others[number % len(others)] for number in range(results // RESULTS_A_REPORT - len(owners))
    ]
    return [
        _Report(
            id=uuid7(collected),
            message_id=uuid7(collected),
            patient_id=owner.patient_id,
            collected_at=collected,
            key=f"B{number:07}",
        )
        for number, owner in enumerate(owners)
        for collected in (now - timedelta(minutes=chance.randrange(60, minutes)),)
    ]


def load_results(
    connection: psycopg.Connection[Any],
    *,
    people: Sequence[Person],
    clinic: Clinic,
    results: int,
    now: datetime,
) -> LoadedResults:
    """Copy messages, reports and about `results` observations."""
    laboratory = _laboratory(clinic)
    plan = _plan(people, results, now)
    models = (InboundMessage, DiagnosticReport, ReportVersion, Observation)
    with (
        connection.transaction(),
        connection.cursor() as cursor,
        unguarded(cursor, *(model._meta.db_table for model in models)),
    ):
        cursor.execute("SET LOCAL maintenance_work_mem = '256MB'")
        _copy_messages(connection, cursor, plan, laboratory)
        _copy_reports(connection, cursor, plan, laboratory, now)
        _copy_versions(connection, cursor, plan, now)
        lines = Lines(Observation, connection)
        count = lines.copy(cursor, _observation_lines(lines, plan, laboratory, now))
    reports = {report.patient_id: report.id for report in plan}
    return LoadedResults(count, reports, PANEL[0][0])


def _copy_messages(
    connection: psycopg.Connection[Any],
    cursor: psycopg.Cursor[Any],
    plan: Sequence[_Report],
    laboratory: SendingLaboratory,
) -> None:
    lines = Lines(InboundMessage, connection)
    body = b"bench"
    digest = hashlib.sha256(body).hexdigest()
    message = InboundMessage(
        laboratory=laboratory,
        door="mllp",
        raw=body,
        size=len(body),
        sha256=digest,
        body_hash=digest,
        message_type="ORU^R01",
        ack_code="AA",
        receipt="accepted",
        parser_version="bench",
    )
    template = lines.template(message, varying=("id", "received_at", "control_id", "control_key"))
    lines.copy(
        cursor,
        (
            template
            % {
                "id": report.message_id,
                "received_at": report.collected_at,
                "control_id": report.key,
                "control_key": report.key,
            }
            for report in plan
        ),
    )


def _copy_reports(
    connection: psycopg.Connection[Any],
    cursor: psycopg.Cursor[Any],
    plan: Sequence[_Report],
    laboratory: SendingLaboratory,
    now: datetime,
) -> None:
    lines = Lines(DiagnosticReport, connection)
    report = DiagnosticReport(
        laboratory=laboratory,
        code="24323-8",
        code_system="LN",
        loinc="24323-8",
        name="Metabolic panel (blood chemistry)",
        category="LAB",
        version=1,
        status="final",
        filed_at=now,
    )
    times = ("collected_at", "resulted_at", "effective_at", "visible_from")
    template = lines.template(report, varying=("id", "patient_id", "filler_key", *times))
    lines.copy(
        cursor,
        (
            template
            % {
                "id": report.id,
                "patient_id": report.patient_id,
                "filler_key": report.key,
                **dict.fromkeys(times, report.collected_at),
            }
            for report in plan
        ),
    )


def _copy_versions(
    connection: psycopg.Connection[Any],
    cursor: psycopg.Cursor[Any],
    plan: Sequence[_Report],
    now: datetime,
) -> None:
    lines = Lines(ReportVersion, connection)
    version = ReportVersion(
        version=1, status="final", status_sent="F", obr_position=1, filed_at=now
    )
    times = ("collected_at", "received_at_lab", "resulted_at")
    template = lines.template(
        version, varying=("id", "patient_id", "report_id", "message_id", *times)
    )
    lines.copy(
        cursor,
        (
            template
            % {
                "id": uuid7(report.collected_at),
                "patient_id": report.patient_id,
                "report_id": report.id,
                "message_id": report.message_id,
                **dict.fromkeys(times, report.collected_at),
            }
            for report in plan
        ),
    )


def _observation_lines(
    lines: Lines, plan: Sequence[_Report], laboratory: SendingLaboratory, now: datetime
) -> Iterator[str]:
    chance = random.Random(SEED)
    times = ("effective_at", "issued_at", "ordering_at", "visible_from")
    varying = ("id", "patient_id", "report_id", "message_id", "identity_key", "content_hash")
    templates: list[list[str]] = []
    for position, (key, range_text, unit, low, high) in enumerate(PANEL, start=1):
        results = [
            _observation(position, key, range_text, unit, value_text, now)
            for value_text in panel_values(low, high)
        ]
        for result in results:
            result.laboratory = laboratory
        templates.append([lines.template(r, varying=(*varying, *times)) for r in results])
    for report in plan:
        row: dict[str, Any] = {
            "patient_id": report.patient_id,
            "report_id": report.id,
            "message_id": report.message_id,
            **dict.fromkeys(times, report.collected_at.isoformat()),
        }
        for position, choices in enumerate(templates):
            row["id"] = uuid7(report.collected_at)
            row["identity_key"] = row["content_hash"] = f"{report.key}-{position}"
            yield chance.choice(choices) % row
