"""What staff read beside a result: its history, CTCAE grades, multiples of ULN, liver patterns.

Aids for a clinician, never shown to patients and never stored.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import Q

from clinical.analytes import by_key
from clinical.ctcae import CtcaeGrade, grade_result
from clinical.liver import (
    WINDOW,
    HysLaw,
    LiverReading,
    RRatio,
    multiple_of_uln,
    possible_hys_law,
    r_ratio,
)
from clinical.units import Unit, convert
from labs.models import AnalyteBaseline, Observation
from labs.selectors import observations_for
from labs.stored import stored_unit, value_of
from labs.trends import FINAL
from patients.viewer import Viewer

LIVER = ("alt", "ast", "alp", "bilirubin_total")


@dataclass(frozen=True, slots=True)
class StaffResult:
    """The newest version of one result, with the versions before it, newest first."""

    row: Observation
    earlier: tuple[Observation, ...]
    grades: tuple[CtcaeGrade, ...]
    times_uln: Decimal | None


@dataclass(frozen=True, slots=True)
class LiverPattern:
    """What the liver tests of one report suggest; None = nothing can be said.

    `hys_law` looks at seven days around the report, `r` at the report alone.
    """

    r: RRatio | None
    hys_law: HysLaw | None


def staff_results(*, patient_id: UUID, report_id: UUID) -> list[StaffResult]:
    """Return every result of a report in the laboratory's order, withdrawn ones too.

    Two statements; row security decides whether there are any.
    """
    versions: Mapping[str, list[Observation]] = defaultdict(list)
    rows = Observation.objects.filter(patient_id=patient_id, report_id=report_id)
    for row in rows.select_related("message").defer("message__raw").order_by("-version"):
        versions[row.identity_key].append(row)
    baselines = baselines_of(patient_id)
    found = [_staff_result(of_one, baselines) for of_one in versions.values()]
    return sorted(found, key=lambda result: (result.row.position, result.row.id))


def baselines_of(patient_id: UUID) -> dict[str, AnalyteBaseline]:
    """Return the baseline in force of each analyte that has one, in one statement.

    One taken from a result that was withdrawn (another patient's, say) never counts.
    """
    newest = (
        AnalyteBaseline.objects.filter(patient_id=patient_id)
        .exclude(observation__withdrawn_at__isnull=False)
        .select_related("set_by", "observation")
        .order_by("analyte_key", "-set_at", "-id")
        .distinct("analyte_key")
    )
    return {row.analyte_key: row for row in newest if row.value is not None}


def _staff_result(
    versions: Sequence[Observation], baselines: Mapping[str, AnalyteBaseline]
) -> StaffResult:
    row = next((version for version in versions if version.superseded_at is None), versions[0])
    earlier = tuple(version for version in versions if version is not row)
    return StaffResult(row, earlier, grades_of(row, baselines), times_uln(row))


def _usable(row: Observation) -> bool:
    return row.comparable and row.status in FINAL and row.withdrawn_at is None


def grades_of(row: Observation, baselines: Mapping[str, AnalyteBaseline]) -> tuple[CtcaeGrade, ...]:
    """Return the CTCAE grades of one final, comparable result.

    By the limits that judged it, and by her baseline where `baselines_of` has one that converts
    into its unit.
    """
    unit = stored_unit(row.unit_ucum)
    if not _usable(row) or not row.analyte_key or unit is None:
        return ()
    return grade_result(
        analyte_key=row.analyte_key,
        value=value_of(row),
        unit=unit,
        lln=row.range_used_low,
        uln=row.range_used_high,
        baseline=_baseline_in(unit, baselines.get(row.analyte_key)),
    )


def _baseline_in(unit: Unit, row: AnalyteBaseline | None) -> Decimal | None:
    own = stored_unit(row.unit_ucum) if row else None
    if row is None or row.value is None or own is None:
        return None
    return convert(row.value, own, unit, by_key(row.analyte_key))


def times_uln(row: Observation) -> Decimal | None:
    """Return the value as a multiple of its upper limit, where a high value matters."""
    if not _usable(row) or not row.analyte_key or by_key(row.analyte_key).concern == "low":
        return None
    return multiple_of_uln(value_of(row), row.range_used_high)


def liver_pattern(
    viewer: Viewer, *, patient_id: UUID, report_id: UUID, at: datetime, now: datetime
) -> LiverPattern:
    """Return the patterns of the liver tests in and around one report, in one statement."""
    rows = [
        row
        for row in observations_for(viewer, now=now).filter(
            Q(effective_at__gte=at - WINDOW, effective_at__lte=at + WINDOW)
            | Q(report_id=report_id),
            patient_id=patient_id,
            analyte_key__in=LIVER,
            origin=Observation.Origin.LABORATORY,
        )
        if _usable(row)
    ]
    return LiverPattern(
        r=_r_of([row for row in rows if row.report_id == report_id]),
        hys_law=possible_hys_law(
            [
                LiverReading(
                    version_id=str(row.id),
                    analyte_key=row.analyte_key,
                    value=value_of(row),
                    uln=row.range_used_high,
                    collected_at=row.effective_at,
                    report_id=str(row.report_id),
                )
                for row in rows
            ]
        ),
    )


def _r_of(rows: Iterable[Observation]) -> RRatio | None:
    by_analyte: dict[str, Observation] = {row.analyte_key: row for row in rows}
    alt, alp = by_analyte.get("alt"), by_analyte.get("alp")
    if alt is None or alp is None:
        return None
    return r_ratio(
        alt=value_of(alt),
        alt_uln=alt.range_used_high,
        alp=value_of(alp),
        alp_uln=alp.range_used_high,
    )


def grade_words(grade: CtcaeGrade) -> str:
    """Return one grade in a short line."""
    if grade.grade is None:
        return f"{grade.term}: no grade ({str(grade.why).replace('_', ' ')})"
    sign = "≥ " if grade.at_least else ""
    words = f"{grade.term}: grade {sign}{grade.grade}"
    if grade.grade and grade.baseline_unknown:
        words += ", baseline not known"
    return words
