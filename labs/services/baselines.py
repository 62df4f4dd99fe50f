"""A clinician says what a test usually is in this patient. Each setting is a row of its own."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from clinical.analytes import by_key
from clinical.units import accepts
from clinical.values import ValueKind
from core import audit
from core.areas import Area
from core.errors import FieldError, InvalidInput
from core.models import AuditEvent
from labs.models import AnalyteBaseline, Observation
from labs.selectors import observations_for
from labs.stored import stored_unit
from labs.trends import FINAL
from patients.viewer import Viewer


def set_baseline(
    viewer: Viewer,
    *,
    patient_id: UUID,
    analyte_key: str,
    value: Decimal,
    unit_ucum: str,
    now: datetime,
) -> AnalyteBaseline:
    """Record a value that was typed in, in a UCUM unit of this analyte. Raises: InvalidInput."""
    unit = stored_unit(unit_ucum)
    if unit is None or not accepts(by_key(analyte_key), unit):
        raise _invalid("unit", "unit-mismatch", "This test is not measured in this unit.")
    if value <= 0:
        raise _invalid("value", "out-of-range", "A baseline is above zero.")
    return _record(
        viewer,
        AnalyteBaseline(
            patient_id=patient_id, analyte_key=analyte_key, value=value, unit_ucum=unit_ucum
        ),
        now=now,
    )


def take_baseline(
    viewer: Viewer, *, patient_id: UUID, analyte_key: str, result_id: UUID, now: datetime
) -> AnalyteBaseline:
    """Record the value of one of her results: a plain number, final, made by a laboratory.

    Raises: InvalidInput.
    """
    row = (
        observations_for(viewer, now=now)
        .filter(
            id=result_id,
            origin=Observation.Origin.LABORATORY,
            patient_id=patient_id,
            analyte_key=analyte_key,
            comparable=True,
            value_kind=ValueKind.NUMERIC.value,
            status__in=FINAL,
            value_low__gt=0,
        )
        .first()
    )
    if row is None or stored_unit(row.unit_ucum) is None:
        raise _invalid("result", "unusable", "Choose one of the results that are drawn.")
    baseline = AnalyteBaseline(
        patient_id=patient_id,
        analyte_key=analyte_key,
        value=row.value_low,
        unit_ucum=row.unit_ucum,
        observation=row,
    )
    return _record(viewer, baseline, now=now)


def remove_baseline(
    viewer: Viewer, *, patient_id: UUID, analyte_key: str, now: datetime
) -> AnalyteBaseline:
    """Record that there is no baseline any more."""
    nothing = AnalyteBaseline(patient_id=patient_id, analyte_key=analyte_key)
    return _record(viewer, nothing, now=now)


def _record(viewer: Viewer, row: AnalyteBaseline, *, now: datetime) -> AnalyteBaseline:
    assert viewer.user_id is not None
    row.set_by_id, row.set_at = viewer.user_id, now
    row.save(force_insert=True)
    audit.record(
        action=AuditEvent.Action.CREATE,
        operation="labs.baseline.set",
        now=now,
        area=Area.LABS,
        patient_id=row.patient_id,
        resource="AnalyteBaseline",
        resource_ids=[row.id, *([row.observation_id] if row.observation_id else [])],
        fields=[row.analyte_key],
    )
    return row


def _invalid(field: str, code: str, message: str) -> InvalidInput:
    return InvalidInput(errors=(FieldError(field, code, message),))
