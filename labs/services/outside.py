"""Results of other laboratories that a patient, or a caregiver who may write, types in herself.

They are hers to read beside the others: they have no report, raise no work item, publish no event
and are never compared with what a laboratory sent (the table refuses such a row otherwise). A
correction is a new version; taking one back withdraws every version.
"""

from dataclasses import astuple, dataclass
from datetime import date, datetime, time
from uuid import UUID
from zoneinfo import ZoneInfo

from clinical.analytes import by_key
from clinical.outside import judge_outside
from clinical.reference_ranges import ReferenceRange, parse_reference_range
from clinical.units import normalise_unit
from clinical.values import ObservedValue, parse_value
from core.db import identity, system
from core.errors import FieldError, InvalidInput, NotFound
from core.ids import uuid7
from core.models import Change
from labs.models import Observation
from labs.services.announcing import Line, record_changes
from labs.services.judging import digest
from patients.viewer import Viewer

ENTERED_BY_HAND = "entered-1"
"""The version of these rules: stands where other results name their parser."""
EARLIEST = date(1900, 1, 1)


@dataclass(frozen=True, slots=True)
class OutsideEntry:
    """One line of a paper, as printed. `decimal_comma`: the paper writes 7,2 for 7.2."""

    analyte_key: str
    value: str
    unit: str
    range: str
    taken_on: date
    where: str
    decimal_comma: bool = False


def enter(viewer: Viewer, entry: OutsideEntry, *, now: datetime) -> UUID:
    """Store a result that the viewer typed in; return its id. Raises: InvalidInput."""
    row = _row(viewer, entry, now=now)
    row.identity_key = digest("outside", row.id)
    with identity(system("outside-results")):
        row.save(force_insert=True)
        _record(row.patient_id, upsert=row.id, now=now)
    return row.id


def correct(viewer: Viewer, result_id: UUID, entry: OutsideEntry, *, now: datetime) -> UUID:
    """Store the next version of an entered result; return its id, unchanged when it says the same.

    Any version names the result. A caregiver corrects only what she entered.
    Raises: InvalidInput, NotFound.
    """
    row = _row(viewer, entry, now=now)
    with identity(system("outside-results")):
        current = _locked(viewer, result_id)
        if current.content_hash == row.content_hash:
            return current.id
        row.identity_key = current.identity_key
        row.version, row.supersedes = current.version + 1, current
        Observation.objects.filter(id=current.id).update(superseded_at=now)
        row.save(force_insert=True)
        _record(row.patient_id, gone=current.id, upsert=row.id, now=now)
    return row.id


def take_back(viewer: Viewer, result_id: UUID, *, now: datetime) -> None:
    """Withdraw an entered result with all its versions. Raises: NotFound."""
    with identity(system("outside-results")):
        current = _locked(viewer, result_id)
        Observation.objects.filter(
            patient_id=current.patient_id, identity_key=current.identity_key
        ).update(withdrawn_at=now)
        _record(current.patient_id, gone=current.id, now=now)


def _locked(viewer: Viewer, result_id: UUID) -> Observation:
    """Return the current version, its chain locked until the transaction ends."""
    assert viewer.patient_id is not None
    hers = Observation.objects.filter(
        patient_id=viewer.patient_id,
        origin=Observation.Origin.PATIENT,
        withdrawn_at__isnull=True,
    )
    named = hers.filter(id=result_id).first()
    if named is None:
        raise NotFound()
    # Every writer waits at the first version, which is always there, and then reads anew.
    hers.select_for_update().filter(identity_key=named.identity_key, version=1).first()
    current = hers.filter(identity_key=named.identity_key, superseded_at__isnull=True).first()
    if current is None or (viewer.kind == "proxy" and current.filed_by_id != viewer.user_id):
        raise NotFound()
    return current


def _record(
    patient_id: UUID, *, now: datetime, gone: UUID | None = None, upsert: UUID | None = None
) -> None:
    lines: list[Line] = []
    if gone is not None:
        lines.append(("Observation", gone, Change.Kind.GONE))
    if upsert is not None:
        lines.append(("Observation", upsert, Change.Kind.UPSERT))
    record_changes(patient_id=patient_id, lines=lines, now=now)


def _row(viewer: Viewer, entry: OutsideEntry, *, now: datetime) -> Observation:
    """Return the unsaved first version. Raises: InvalidInput."""
    if viewer.patient_id is None or viewer.user_id is None:
        raise NotFound()
    value = _value(entry)
    interval = value.interval
    unit = normalise_unit(entry.unit, entry.analyte_key)
    typed = parse_reference_range(
        entry.range, decimal_comma=entry.decimal_comma, analyte_key=entry.analyte_key
    )
    verdict = judge_outside(
        analyte_key=entry.analyte_key,
        value=value,
        unit_raw=entry.unit,
        unit=unit,
        typed_range=typed,
    )
    sent = typed if isinstance(typed, ReferenceRange) else None
    used = verdict.range_used
    return Observation(
        id=uuid7(now),
        patient_id=viewer.patient_id,
        origin=Observation.Origin.PATIENT,
        version=1,
        content_hash=digest("outside", *astuple(entry)),
        analyte_key=entry.analyte_key,
        display_name=by_key(entry.analyte_key).plain_name,
        position=1,
        value_text=entry.value,
        value_kind=value.kind.value,
        value_low=interval.low if interval else None,
        value_high=interval.high if interval else None,
        comparator=value.comparator or "",
        unit_text=entry.unit,
        unit_ucum=unit.ucum if unit else "",
        unit_dimension=unit.dimension if unit else "",
        range_text=entry.range,
        range_low=sent.low if sent else None,
        range_high=sent.high if sent else None,
        range_used_low=used.low if used else None,
        range_used_high=used.high if used else None,
        range_low_inclusive=sent.low_inclusive if sent else True,
        range_high_inclusive=sent.high_inclusive if sent else True,
        status="final",
        effective_at=_taken_at(entry.taken_on, ZoneInfo(viewer.zone), now),
        effective_basis=Observation.EffectiveBasis.ENTERED,
        performer=entry.where,
        state=verdict.state.value,
        tier=verdict.tier.value,
        rule_id=verdict.rule_id,
        rule_version=verdict.rule_version,
        basis=verdict.basis.value,
        reason=verdict.reason,
        computed_state=verdict.computed_state.value,
        comparable=False,
        parser_version=ENTERED_BY_HAND,
        filed_by_id=viewer.user_id,
        filed_at=now,
        visible_from=now,
        release_basis=Observation.ReleaseBasis.PATIENT_REQUEST,
        announced_at=now,
    )


def _value(entry: OutsideEntry) -> ObservedValue:
    """Return the number that was typed. Raises: InvalidInput."""
    try:
        analyte = by_key(entry.analyte_key)
    except KeyError as error:
        raise _invalid("analyte", "unknown", "Not one of the known tests.") from error
    value = parse_value("ST", entry.value, decimal_comma=entry.decimal_comma)
    if value.interval is None:
        raise _invalid(
            "value", "not-a-number", "Write a number or a limit as it is printed: 41, 7.2 or <5."
        )
    below_zero = any(
        bound is not None and bound < 0 for bound in (value.interval.low, value.interval.high)
    )
    if below_zero and not analyte.may_be_negative:
        raise _invalid("value", "negative", "This number cannot be below zero.")
    return value


def _taken_at(day: date, zone: ZoneInfo, now: datetime) -> datetime:
    """Return noon of that day in her zone, or now when noon is still to come.

    Raises: InvalidInput for a day that has not begun, or before 1900.
    """
    if not EARLIEST <= day <= now.astimezone(zone).date():
        raise _invalid("taken_on", "out-of-range", "Send the day of the blood test, not later.")
    return min(datetime.combine(day, time(12), tzinfo=zone), now)


def _invalid(field: str, code: str, message: str) -> InvalidInput:
    return InvalidInput(errors=(FieldError(field, code, message),))
