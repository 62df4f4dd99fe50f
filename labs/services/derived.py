"""Results that we work out ourselves: total calcium corrected for albumin."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db.models import CharField, DateTimeField, F, Q, UUIDField

from clinical.calcium import (
    CorrectedCalcium,
    KidneyAndProtein,
    Measurement,
    NotCorrected,
    Obstacle,
    corrected_calcium,
)
from clinical.reference_ranges import RangeFault, RangeProblem
from clinical.states import PortalState, direction_of, tier_of
from clinical.units import unit_of_ucum
from clinical.values import quantity
from clinical.verdict import Basis, ResultInput, Verdict, judge
from core.prepared import Given, Prepared, insert
from labs.models import InboundMessage, Observation
from labs.services.judging import digest
from labs.services.obstacles import (
    BETTER_MEASURED,
    NO_ALBUMIN,
    NotWorkedOut,
    record_obstacles,
)
from labs.services.placing import versions_of
from labs.services.release import NOT_RELEASED, Release, release_columns
from labs.services.rows import (
    range_columns,
    verdict_columns,
)
from labs.stored import range_of, stored_unit, value_of
from patients.models import ProfileFact

# LOINC of calcium corrected for albumin, by the unit it is given in.
_LOINC = {"mg/dL": "46099-8", "mmol/L": "29265-6"}
_INPUTS = frozenset({"calcium_total", "albumin"})
_BETTER = frozenset({"calcium_ionized", "calcium_corrected"})
_RELEVANT = _INPUTS | _BETTER
_KIDNEY = frozenset({"egfr", "creatinine"})
KIDNEY_LOOK_BACK = timedelta(days=90)
"""How far back an eGFR still speaks about the kidneys (our choice)."""

_NO_RANGE = RangeProblem(RangeFault.ABSENT, "")
_NO_RANGE_REASON = "Worked out from two results. The lab sent no range for it."


@dataclass(frozen=True, slots=True)
class _Background:
    """What is known of kidneys and blood proteins, and the results that say so."""

    facts: KidneyAndProtein
    egfr: UUID | None
    creatinine: UUID | None

    def results_behind(self, obstacles: tuple[Obstacle, ...]) -> list[UUID]:
        behind = {
            Obstacle.LOW_EGFR: self.egfr,
            Obstacle.EGFR_UNKNOWN_CREATININE_RAISED: self.creatinine,
        }
        return [row for obstacle in obstacles if (row := behind.get(obstacle)) is not None]


@dataclass(frozen=True, slots=True)
class DerivedChange:
    """What became of the derived results: new versions, and versions that no longer count."""

    filed: tuple[Observation, ...] = ()
    lost: tuple[Observation, ...] = ()


@lru_cache(maxsize=1)
def _nearby() -> Prepared:
    """Her current results that matter, of one of these times or orders; each with `order_key`."""
    return Prepared(
        Observation.objects.current()
        .laboratory_made()
        .annotate(order_key=F("report__filler_key"))
        .filter(
            Q(effective_at__any_of=Given("times", ArrayField(DateTimeField())))
            | Q(report__filler_key__any_of=Given("orders", ArrayField(CharField()))),
            patient_id=cast(UUID, Given("patient", UUIDField())),
            laboratory_id=cast(UUID, Given("laboratory", UUIDField())),
            analyte_key__in=sorted(_RELEVANT),
        )
    )


def refresh_corrected_calcium(
    touched: Iterable[Observation], *, message: InboundMessage, now: datetime
) -> DerivedChange:
    """Work out the corrected calcium again wherever one of its inputs changed.

    A new input version makes a new derived version; an input that no longer serves retires it.
    It is not worked out where the laboratory measured ionised calcium or corrected it itself.
    Where there is none, the reason is kept.
    """
    rows = [row for row in touched if row.analyte_key in _RELEVANT | _KIDNEY]
    if not any(row.analyte_key in _RELEVANT for row in rows):
        return DerivedChange()
    patient_id = rows[0].patient_id
    nearby = _nearby().objects(
        times=sorted({row.effective_at for row in rows}),
        orders=sorted({row.report.filler_key for row in rows if row.report is not None}),
        patient=patient_id,
        laboratory=message.laboratory_id,
    )
    calciums = [row for row in nearby if row.analyte_key == "calcium_total"]
    if not calciums:
        return DerivedChange()
    keys = {_identity(row): row for row in calciums}
    stored = versions_of().objects(patient=patient_id, keys=sorted(keys))
    background = _background(patient_id, max(row.effective_at for row in calciums))
    filed: list[Observation] = []
    lost: list[Observation] = []
    obstacles: dict[UUID, NotWorkedOut | None] = {}
    for key, calcium in keys.items():
        versions = [row for row in stored if row.identity_key == key]
        outcome = _work_out(calcium, nearby, background)
        made = None if isinstance(outcome, NotWorkedOut) else outcome
        if calcium.withdrawn_at is None:
            obstacles[calcium.id] = outcome if isinstance(outcome, NotWorkedOut) else None
        change = _settle(made, calcium, key, versions, message=message, now=now)
        filed += change.filed
        lost += change.lost
    _retire(lost, filed, now=now)
    insert(*filed)
    record_obstacles(obstacles, patient_id=patient_id, now=now)
    return DerivedChange(tuple(filed), tuple(lost))


def _identity(calcium: Observation) -> str:
    return digest("derived", "calcium_corrected", calcium.identity_key)


def _order_of(row: Any) -> str:
    """Return what the laboratory calls the order of a row that `_nearby` found."""
    return str(row.order_key)


def _measurement(row: Observation) -> Measurement:
    return Measurement(
        version_id=str(row.id),
        value=value_of(row),
        unit=stored_unit(row.unit_ucum),
        status=row.status_sent,
        comparable=row.comparable,
        specimen=row.specimen or _order_of(row),
        collected_at=row.effective_at,
    )


def _work_out(
    calcium: Observation, nearby: list[Observation], background: _Background
) -> tuple[CorrectedCalcium, Observation] | NotWorkedOut:
    def together(other: Observation) -> bool:
        same_order = _order_of(other) == _order_of(calcium)
        return other.effective_at == calcium.effective_at or (
            same_order and other.specimen == calcium.specimen
        )

    better = [
        row for row in nearby if row.analyte_key in _BETTER and row.comparable and together(row)
    ]
    if better:
        return NotWorkedOut((BETTER_MEASURED,), (calcium.id, better[0].id))
    found = NotWorkedOut((NO_ALBUMIN,), (calcium.id,))
    for albumin in nearby:
        if albumin.analyte_key != "albumin" or not together(albumin):
            continue
        made = corrected_calcium(
            calcium=_measurement(calcium),
            albumin=_measurement(albumin),
            background=background.facts,
        )
        if isinstance(made, CorrectedCalcium):
            return made, albumin
        found = _obstructed(made, calcium, albumin, background)
    return found


def _obstructed(
    made: NotCorrected, calcium: Observation, albumin: Observation, background: _Background
) -> NotWorkedOut:
    return NotWorkedOut(
        tuple(str(obstacle) for obstacle in made.obstacles),
        (calcium.id, albumin.id, *background.results_behind(made.obstacles)),
    )


@lru_cache(maxsize=1)
def _kidney() -> Prepared:
    return Prepared(
        Observation.objects.current()
        .laboratory_made()
        .filter(
            patient_id=cast(UUID, Given("patient", UUIDField())),
            analyte_key__in=sorted(_KIDNEY),
            comparable=True,
            effective_at__gt=cast(datetime, Given("after", DateTimeField())),
            effective_at__lte=cast(datetime, Given("until", DateTimeField())),
        )
        .order_by("effective_at")
    )


@lru_cache(maxsize=1)
def _conditions() -> Prepared:
    return Prepared(
        ProfileFact.objects.filter(
            patient_id=cast(UUID, Given("patient", UUIDField())),
            code__in=["dialysis", "paraprotein"],
            result__in=["present", "positive"],
            superseded_at__isnull=True,
        ).values("code")
    )


def _background(patient_id: UUID, at: datetime) -> _Background:
    """Return what is known of kidneys and blood proteins around `at`: two statements."""
    latest: dict[str, Observation] = {}
    kidney = _kidney().objects(
        patient=patient_id, after=at - KIDNEY_LOOK_BACK, until=at + timedelta(days=1)
    )
    for row in kidney:
        latest[row.analyte_key] = row
    conditions = {row["code"] for row in _conditions().rows(patient=patient_id)}
    creatinine, egfr = latest.get("creatinine"), latest.get("egfr")
    return _Background(
        facts=KidneyAndProtein(
            egfr=value_of(egfr) if egfr else None,
            creatinine_raised=(
                direction_of(PortalState(creatinine.state)) == "high" if creatinine else None
            ),
            on_dialysis="dialysis" in conditions,
            paraprotein="paraprotein" in conditions,
        ),
        egfr=egfr.id if egfr else None,
        creatinine=creatinine.id if creatinine else None,
    )


def _settle(
    made: tuple[CorrectedCalcium, Observation] | None,
    calcium: Observation,
    key: str,
    versions: list[Observation],
    *,
    message: InboundMessage,
    now: datetime,
) -> DerivedChange:
    current = next((row for row in versions if row.superseded_at is None), None)
    if made is None:
        return DerivedChange(lost=(current,) if current else ())
    result, albumin = made
    inputs = [calcium.id, albumin.id]
    if current is not None and current.derived_from == inputs:
        return DerivedChange()
    row = _row(result, calcium, albumin, message=message, now=now)
    row.identity_key = key
    row.version = len(versions) + 1
    row.supersedes = current
    return DerivedChange((row,), (current,) if current else ())


def _row(
    made: CorrectedCalcium,
    calcium: Observation,
    albumin: Observation,
    *,
    message: InboundMessage,
    now: datetime,
) -> Observation:
    verdict = judge_derived(made, calcium)
    release = release_with(calcium, albumin)
    text = format(made.value, "f")
    return Observation(
        patient_id=calcium.patient_id,
        report_id=calcium.report_id,
        laboratory_id=calcium.laboratory_id,
        origin=Observation.Origin.DERIVED,
        content_hash=digest(made.method, calcium.id, albumin.id),
        ordering_at=calcium.ordering_at,
        analyte_key="calcium_corrected",
        loinc=_LOINC[made.unit.ucum],
        display_name="Calcium, corrected for albumin",
        specimen=calcium.specimen,
        position=calcium.position,
        value_type="NM",
        value_text=text,
        value_kind="numeric",
        value_low=made.value,
        value_high=made.value,
        unit_text=made.unit.ucum,
        unit_ucum=made.unit.ucum,
        unit_dimension=made.unit.dimension,
        status="final",
        effective_at=calcium.effective_at,
        effective_basis=calcium.effective_basis,
        issued_at=calcium.issued_at,
        method=made.label[:200],
        message=message,
        parser_version=calcium.parser_version,
        filed_at=now,
        derived_method=made.method,
        derived_from=[calcium.id, albumin.id],
        visible_from=release.visible_from,
        release_basis=release.basis,
        release_rule_version=release.rule_version,
        released_by_id=release.released_by_id,
        announced_at=release.announced_at(now),
        **range_columns(_NO_RANGE, verdict),
        **verdict_columns(verdict),
    )


def release_with(*inputs: Observation) -> Release:
    """Return the release of what is worked out from `inputs`: that of the last one."""
    releases = [release_columns(row) for row in inputs]
    known = [release for release in releases if release.visible_from is not None]
    if len(known) < len(releases):
        return NOT_RELEASED
    return max(known, key=lambda release: release.visible_from)  # type: ignore[arg-type,return-value]


def judge_derived(made: CorrectedCalcium, calcium: Observation) -> Verdict:
    """Judge against the range of the total calcium. Outside it adds an alert; inside it says
    nothing, because the laboratory sent no range for a value that it did not measure."""
    sent = range_of(calcium)
    verdict = judge(
        ResultInput(
            analyte_key="calcium_corrected",
            value=quantity(made.value),
            unit_raw=made.unit.ucum,
            unit=unit_of_ucum(made.unit.ucum),
            lab_range=sent if calcium.unit_ucum == made.unit.ucum else _NO_RANGE,
            status="F",
        )
    )
    if verdict.state is not PortalState.IN_RANGE:
        return verdict
    return replace(
        verdict,
        state=PortalState.NO_RANGE,
        tier=tier_of(PortalState.NO_RANGE),
        rule_id="derived.no_own_range",
        basis=Basis.NONE,
        range_used=None,
        reason=_NO_RANGE_REASON,
    )


def _retire(lost: list[Observation], filed: list[Observation], *, now: datetime) -> None:
    """Supersede the old versions; those without a successor leave the patient's view."""
    if not lost:
        return
    Observation.objects.filter(id__in=[row.id for row in lost]).update(superseded_at=now)
    replaced = {row.supersedes_id for row in filed}
    gone = [row.id for row in lost if row.id not in replaced]
    if gone:
        Observation.objects.filter(id__in=gone).update(withdrawn_at=now)
