"""She asks for a visit; the clinic finds a time or answers."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from appointments.finding import Offered, openings_for
from appointments.models import (
    Appointment,
    PreferredWindow,
    Resource,
    Schedule,
    VisitRequest,
    VisitType,
)
from appointments.opening_ids import read_opening_id
from appointments.requests import requests_for, windows_of
from appointments.selectors import visit_types_for
from appointments.services.booking import book
from appointments.services.ordering import invalid
from appointments.services.permission import OWN
from appointments.services.refusals import (
    NotOpen,
    NotSelfBookable,
    OtherVisitType,
    RequestedAlready,
    RequestNotNeeded,
    TooManyRequests,
)
from appointments.wishes import Window, suits_any
from core.areas import Area
from core.errors import NotFound
from core.events import VisitRequestAnswered, publish
from core.feed import record_change
from core.models import Change
from patients.viewer import Viewer

OPEN_AT_MOST = 5
WINDOWS_AT_MOST = 5
NOTE_AT_MOST = 1000
_State = VisitRequest.State
_DAY = timedelta(days=1)


def request_visit(
    *,
    viewer: Viewer,
    visit_type_id: UUID,
    windows: Iterable[Window],
    now: datetime,
    location_id: UUID | None = None,
    practitioner_id: UUID | None = None,
    note: str = "",
) -> VisitRequest:
    """Ask for a visit of a kind that the clinic books on request.

    Raises: NotFound, NotSelfBookable and RequestNotNeeded for kinds with another policy,
    InvalidInput, RequestedAlready, TooManyRequests.
    """
    if viewer.kind not in OWN or viewer.patient_id is None or viewer.user_id is None:
        raise NotFound()
    visit_type = (
        visit_types_for(viewer, patient_id=viewer.patient_id, now=now)
        .select_related("organization")
        .filter(id=visit_type_id)
        .first()
    )
    if visit_type is None:
        raise NotFound()
    policy = visit_type.booking_policy
    if policy == VisitType.BookingPolicy.DIRECT:
        raise RequestNotNeeded(extra={"booking_policy": policy})
    if policy != VisitType.BookingPolicy.REQUEST:
        raise NotSelfBookable(extra={"booking_policy": policy})
    wanted = _checked(list(windows), visit_type, now)
    _check_wish(visit_type, location_id, practitioner_id)
    _one_at_a_time(viewer.patient_id)
    open_now = list(
        VisitRequest.objects.filter(patient_id=viewer.patient_id, state=_State.OPEN).values_list(
            "visit_type_id", "id"
        )
    )
    for asked_for, request_id in open_now:
        if asked_for == visit_type.id:
            raise RequestedAlready(extra={"request": str(request_id)})
    if len(open_now) >= OPEN_AT_MOST:
        raise TooManyRequests(extra={"at_most": OPEN_AT_MOST})
    made = VisitRequest.objects.create(
        patient_id=viewer.patient_id,
        visit_type=visit_type,
        location_id=location_id,
        practitioner_id=practitioner_id,
        note=note.strip().encode() or None,
        made_at=now,
        made_by_id=viewer.user_id,
        made_via=viewer.kind,
    )
    PreferredWindow.objects.bulk_create(
        [
            PreferredWindow(
                request=made,
                first=window.first,
                last=window.last,
                weekdays=sorted(window.weekdays),
                part_of_day=window.part_of_day,
            )
            for window in wanted
        ]
    )
    _follow(made, now)
    return made


def _checked(windows: list[Window], visit_type: VisitType, now: datetime) -> list[Window]:
    today = now.astimezone(ZoneInfo(visit_type.organization.zone)).date()
    furthest = today + visit_type.horizon_days * _DAY
    if not 1 <= len(windows) <= WINDOWS_AT_MOST:
        raise invalid("windows", "how-many", f"From 1 to {WINDOWS_AT_MOST}.")
    for number, window in enumerate(windows):
        if window.last < window.first:
            raise invalid(f"windows.{number}.until", "before-from", "Ends before it starts.")
        if window.last < today:
            raise invalid(f"windows.{number}.until", "past", "These days are over.")
        if window.last > furthest:
            raise invalid(
                f"windows.{number}.until", "too-far", f"At most {visit_type.horizon_days} days."
            )
        if not window.weekdays <= frozenset(range(1, 8)):
            raise invalid(f"windows.{number}.weekdays", "invalid", "1 is Monday, 7 is Sunday.")
    return windows


def _check_wish(
    visit_type: VisitType, location_id: UUID | None, practitioner_id: UUID | None
) -> None:
    """Raises: InvalidInput when nobody offers this kind of visit there, or she does not."""
    offering = Schedule.objects.filter(visit_types=visit_type, is_active=True)
    if location_id is not None:
        offering = offering.filter(location_id=location_id)
        if not offering.exists():
            raise invalid("location", "not-offered-there", "Not offered at this place.")
    if (
        practitioner_id is not None
        and not offering.filter(
            resource_id=practitioner_id, resource__kind=Resource.Kind.PRACTITIONER
        ).exists()
    ):
        raise invalid("practitioner", "not-offered-by", "Not offered by this person.")


def _one_at_a_time(patient_id: UUID) -> None:
    """Let one request of a patient be made at a time: they are counted."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"requests:{patient_id}"]
        )


def withdraw_request(*, viewer: Viewer, request_id: UUID, now: datetime) -> VisitRequest:
    """Take a request back; doing it twice is no error. Raises: NotFound, NotOpen."""
    if viewer.kind not in OWN:
        raise NotFound()
    asked = _locked(viewer, request_id)
    if asked.state == _State.WITHDRAWN:
        return asked
    return _decide(viewer, asked, state=_State.WITHDRAWN, now=now)


def fitting_openings(
    viewer: Viewer, asked: VisitRequest, *, now: datetime, limit: int, only_wish: bool = True
) -> list[Offered]:
    """Return the next openings within the windows of a request, as staff.

    `only_wish` keeps to the place and person she wished for. Raises: NotFound.
    """
    if viewer.kind in OWN:
        raise NotFound()
    windows = windows_of(asked)
    schedules: list[UUID | None] = [None]
    if only_wish and asked.practitioner_id is not None:
        schedules = list(
            Schedule.objects.filter(
                resource_id=asked.practitioner_id, visit_types=asked.visit_type_id, is_active=True
            )
            .order_by("id")
            .values_list("id", flat=True)
        )
    found: list[Offered] = []
    for schedule_id in schedules:
        cursor = None
        while True:
            page = openings_for(
                viewer,
                patient_id=asked.patient_id,
                visit_type_id=asked.visit_type_id,
                location_id=asked.location_id if only_wish else None,
                schedule_id=schedule_id,
                first=min(window.first for window in windows),
                last=max(window.last for window in windows),
                now=now,
                limit=200,
                cursor=cursor,
            )
            found.extend(
                offered
                for offered in page.items
                if suits_any(
                    windows,
                    starts_at=offered.opening.starts_at,
                    zone=offered.supply.hours.zone,
                )
            )
            cursor = page.next
            if cursor is None or len(found) >= limit:
                break
    found.sort(key=lambda offered: (offered.opening.starts_at, offered.opening.schedule_id))
    return found[:limit]


def book_request(*, viewer: Viewer, request_id: UUID, opening: str, now: datetime) -> Appointment:
    """Make a visit of an open request, as staff: both happen or neither.

    Raises: NotFound, NotOpen, OtherVisitType, NotOffered, SlotTaken, PatientBusy.
    """
    if viewer.kind in OWN:
        raise NotFound()
    with transaction.atomic():
        asked = _locked(viewer, request_id)
        if asked.state != _State.OPEN:
            raise NotOpen()
        if read_opening_id(opening).visit_type_id != asked.visit_type_id:
            raise OtherVisitType()
        made = book(viewer=viewer, patient_id=asked.patient_id, opening=opening, now=now)
        asked.appointment = made
        _decide(viewer, asked, state=_State.BOOKED, now=now)
    return made


def answer_request(
    *,
    viewer: Viewer,
    request_id: UUID,
    words: str,
    now: datetime,
    state: Literal["answered", "declined"] = "answered",
) -> VisitRequest:
    """Answer in words instead of a visit, as staff. She is told that there is an answer.

    Raises: NotFound, NotOpen, InvalidInput without words.
    """
    if viewer.kind in OWN:
        raise NotFound()
    if not words.strip():
        raise invalid("answer", "required", "Say something to her.")
    asked = _locked(viewer, request_id)
    asked.answer = words.strip().encode()
    _decide(viewer, asked, state=state, now=now)
    publish(
        VisitRequestAnswered(subject_id=asked.id, patient_id=asked.patient_id, state=state),
        now=now,
    )
    return asked


def _locked(viewer: Viewer, request_id: UUID) -> VisitRequest:
    found = requests_for(viewer).select_for_update(of=("self",)).filter(id=request_id).first()
    if found is None:
        raise NotFound()
    return found


def _decide(viewer: Viewer, asked: VisitRequest, *, state: str, now: datetime) -> VisitRequest:
    if asked.state != _State.OPEN:
        raise NotOpen(extra={"state": asked.state})
    asked.state = state
    asked.decided_at, asked.decided_by_id = now, viewer.user_id
    asked.save(update_fields=["state", "decided_at", "decided_by", "answer", "appointment"])
    _follow(asked, now)
    return asked


def _follow(asked: VisitRequest, now: datetime) -> None:
    record_change(
        patient_id=asked.patient_id,
        area=Area.APPOINTMENTS,
        resource="VisitRequest",
        resource_id=asked.id,
        kind=Change.Kind.UPSERT,
        now=now,
    )
