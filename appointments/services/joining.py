"""Join the waitlist: what may be waited for, and how it is asked."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import IntegrityError, transaction

from appointments.models import (
    Appointment,
    Location,
    VisitType,
    WaitlistEntry,
    WaitlistWindow,
)
from appointments.prechecks import ANSWERABLE
from appointments.selectors import appointments_for, locations_for, visit_types_for
from appointments.services.permission import OWN
from appointments.services.refusals import (
    AlreadyWaiting,
    NotSelfBookable,
    NoWaitlist,
    OtherVisitType,
    StatusConflict,
)
from appointments.services.waitlist import tell_feed, urgency_fields
from appointments.waiting import Window
from appointments.waitlists import entries_for
from core.errors import FieldError, InvalidInput, NotFound
from core.ids import uuid7
from patients.viewer import Viewer

WINDOWS_AT_MOST = 10
NOTICE_AT_MOST = timedelta(days=30)

_Status = WaitlistEntry.Status
_ONCE = ("waitlist_entry_active_once", "waitlist_entry_active_once_for_visit")


def join(
    *,
    viewer: Viewer,
    now: datetime,
    visit_type_id: UUID | None = None,
    appointment_id: UUID | None = None,
    windows: Sequence[Window] = (),
    locations: Sequence[UUID] = (),
    minimum_notice: timedelta = timedelta(0),
    patient_id: UUID | None = None,
    urgency_reason: str = "",
) -> WaitlistEntry:
    """Wait for a visit of a kind, or for an earlier time than that of a visit she has.

    Staff say for which patient, and may call it urgent by giving a reason.
    Raises: NotFound, StatusConflict, OtherVisitType, NotSelfBookable, NoWaitlist, InvalidInput,
    AlreadyWaiting.
    """
    patient = viewer.patient_id or patient_id
    if patient is None or viewer.user_id is None:
        raise ValueError("say for which patient")
    visit = _her_visit(viewer, patient, appointment_id, now=now)
    visit_type = _visit_type(viewer, patient, visit, visit_type_id, now=now)
    places = _places(viewer, patient, locations, visit_type, now=now)
    _check(windows, visit_type, visit, minimum_notice, now=now)
    urgent = bool(urgency_reason) and viewer.kind not in OWN
    entry = WaitlistEntry(
        id=uuid7(now),
        patient_id=patient,
        visit_type=visit_type,
        appointment=visit,
        minimum_notice_minutes=minimum_notice // timedelta(minutes=1),
        made_at=now,
        made_by_id=viewer.user_id,
        made_via=viewer.kind,
        **urgency_fields(viewer, urgency_reason if urgent else "", now),
    )
    try:
        with transaction.atomic():
            entry.save(force_insert=True)
    except IntegrityError as error:
        if not any(name in str(error) for name in _ONCE):
            raise
        raise AlreadyWaiting(extra=_known(viewer, entry)) from error
    WaitlistWindow.objects.bulk_create(_row(entry, window) for window in windows)
    entry.locations.set(places)
    tell_feed(entry, now=now)
    return entry


def _known(viewer: Viewer, entry: WaitlistEntry) -> dict[str, str]:
    """Return which entry waits for the same."""
    same = entries_for(viewer).filter(patient_id=entry.patient_id, status=_Status.ACTIVE)
    if entry.appointment_id is None:
        same = same.filter(visit_type_id=entry.visit_type_id, appointment__isnull=True)
    else:
        same = same.filter(appointment_id=entry.appointment_id)
    found = same.values_list("id", flat=True).first()
    return {} if found is None else {"entry": str(found)}


def _row(entry: WaitlistEntry, window: Window) -> WaitlistWindow:
    return WaitlistWindow(
        entry=entry,
        first_on=window.first_on,
        last_on=window.last_on,
        iso_weekdays=sorted(window.iso_weekdays),
        time_from=window.time_from,
        time_until=window.time_until,
    )


def _her_visit(
    viewer: Viewer, patient_id: UUID, appointment_id: UUID | None, *, now: datetime
) -> Appointment | None:
    if appointment_id is None:
        return None
    visit = appointments_for(viewer).filter(id=appointment_id, patient_id=patient_id).first()
    if visit is None:
        raise NotFound()
    if visit.status not in ANSWERABLE or visit.starts_at <= now:
        raise StatusConflict(extra={"appointment_status": visit.status})
    return visit


def _visit_type(
    viewer: Viewer,
    patient_id: UUID,
    visit: Appointment | None,
    visit_type_id: UUID | None,
    *,
    now: datetime,
) -> VisitType:
    if visit is not None and visit_type_id not in (None, visit.visit_type_id):
        raise OtherVisitType()
    wanted = visit.visit_type_id if visit is not None else visit_type_id
    if wanted is None:
        raise InvalidInput(
            errors=(FieldError("visit_type", "required", "Say what she waits for."),)
        )
    found = (
        visit_types_for(viewer, patient_id=patient_id, now=now)
        .select_related("organization")
        .filter(id=wanted)
        .first()
    )
    if found is None:
        raise NotFound()
    if not found.waitlist_open:
        raise NoWaitlist()
    # Without a visit that the clinic agreed to, the line is no way around asking for one.
    asks_anew = viewer.kind in OWN and visit is None
    if asks_anew and found.booking_policy != VisitType.BookingPolicy.DIRECT:
        raise NotSelfBookable(extra={"booking_policy": found.booking_policy})
    return found


def _places(
    viewer: Viewer,
    patient_id: UUID,
    wanted: Sequence[UUID],
    visit_type: VisitType,
    *,
    now: datetime,
) -> list[Location]:
    if not wanted:
        return []
    places = list(
        locations_for(viewer, patient_id=patient_id, now=now).filter(
            id__in=set(wanted), organization_id=visit_type.organization_id
        )
    )
    if len(places) < len(set(wanted)):
        raise NotFound()
    return places


def _check(
    windows: Sequence[Window],
    visit_type: VisitType,
    visit: Appointment | None,
    notice: timedelta,
    *,
    now: datetime,
) -> None:
    errors = []
    if not timedelta(0) <= notice <= NOTICE_AT_MOST:
        errors.append(FieldError("minimum_notice_minutes", "out-of-range", "At most 30 days."))
    if len(windows) > WINDOWS_AT_MOST:
        errors.append(FieldError("windows", "too-many", f"At most {WINDOWS_AT_MOST}."))
    today = now.astimezone(ZoneInfo(visit_type.organization.zone)).date()
    before = None if visit is None else visit.local_date
    errors += [
        FieldError(f"windows.{number}", code, message)
        for number, window in enumerate(windows)
        for code, message in _faults(window, today, before)
    ]
    if errors:
        raise InvalidInput(errors=tuple(errors))


def _faults(window: Window, today: date, before: date | None) -> list[tuple[str, str]]:
    found = []
    first, last = window.first_on, window.last_on
    if first is not None and last is not None and last < first:
        found.append(("before-from", "Ends before it starts."))
    elif last is not None and last < today:
        found.append(("past", "This window is past."))
    if before is not None and first is not None and first > before:
        found.append(("after-visit", "Begins after the visit that is to be earlier."))
    starts, ends = window.time_from, window.time_until
    if starts is not None and ends is not None and ends <= starts:
        found.append(("before-from", "Ends before it starts."))
    if not window.iso_weekdays <= set(range(1, 8)):
        found.append(("not-a-weekday", "1 is Monday, 7 is Sunday."))
    return found
