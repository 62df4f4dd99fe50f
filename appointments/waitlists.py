"""Reads of the waitlist: her own entries and offers, and the line for a kind of visit."""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import (
    DateTimeField,
    Exists,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
    Value,
)

from accounts.models import User
from accounts.scopes import Scope
from appointments.models import (
    Hold,
    PatientClaim,
    VisitType,
    WaitlistEntry,
    WaitlistOffer,
    WaitlistWindow,
)
from appointments.prechecks import ANSWERABLE
from appointments.slots import Taken, openings
from appointments.supplies import Supply, supply_for, time_taken
from appointments.waiting import Free, Waiting, Window, Wish, rests_until
from notifications.quiet_hours import Quiet
from notifications.selectors import quiet_of
from patients.models import CaregiverGrant, Enrolment
from patients.viewer import Viewer

_Status = WaitlistEntry.Status
_NO_PATIENT = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Openings:
    """What is free for one kind of visit, by time, and the schedules it comes from."""

    free: list[Free]
    supplies: dict[UUID, Supply]


def entries_for(viewer: Viewer) -> QuerySet[WaitlistEntry]:
    """Return the entries in reach: hers for a patient or caregiver, by row security for staff."""
    entries = WaitlistEntry.objects.all()
    return entries if viewer.patient_id is None else entries.filter(patient_id=viewer.patient_id)


def offers_for(viewer: Viewer) -> QuerySet[WaitlistOffer]:
    """Return the offers in reach: hers for a patient or caregiver, by row security for staff."""
    offers = WaitlistOffer.objects.all()
    return offers if viewer.patient_id is None else offers.filter(patient_id=viewer.patient_id)


def open_now(offers: QuerySet[WaitlistOffer], *, now: datetime) -> QuerySet[WaitlistOffer]:
    """Return those of `offers` that can still be answered at `now`."""
    return offers.filter(status=WaitlistOffer.Status.OPEN, answer_until__gt=now)


def shown_entries(viewer: Viewer, *, now: datetime) -> QuerySet[Any]:
    """Return the entries in reach with all that is shown of them, and `open_offer`: its id."""
    offers = open_now(WaitlistOffer.objects.filter(entry_id=OuterRef("id")), now=now)
    shown: QuerySet[Any] = (
        entries_for(viewer)
        .select_related("visit_type__organization")
        .prefetch_related("windows", "locations")
        .annotate(open_offer=Subquery(offers.values("id")[:1]))
    )
    return shown


def window_of(row: WaitlistWindow) -> Window:
    return Window(
        first_on=row.first_on,
        last_on=row.last_on,
        iso_weekdays=frozenset(row.iso_weekdays),
        time_from=row.time_from,
        time_until=row.time_until,
    )


def wish_of(entry: WaitlistEntry) -> Wish:
    """Return what an entry waits for; reads its windows, locations and visit."""
    return Wish(
        windows=tuple(window_of(row) for row in entry.windows.all()),
        locations=frozenset(location.id for location in entry.locations.all()),
        notice=timedelta(minutes=entry.minimum_notice_minutes),
        before=entry.appointment.starts_at if entry.appointment else None,
    )


def with_contact(rows: QuerySet[Any], now: datetime) -> QuerySet[Any]:
    """Add why nobody may be told anything about the patient of a row (`contact_refusal`)."""
    refusal = Func(
        "patient_id",
        Value(now, DateTimeField()),
        function="contact_allowed",
        output_field=TextField(),
    )
    annotated: QuerySet[Any] = rows.annotate(contact_refusal=refusal)
    return annotated


def waited_for(organization_id: UUID | None = None) -> list[VisitType]:
    """Return the kinds of visit that somebody waits for, where there is a waitlist."""
    waiting = WaitlistEntry.objects.filter(visit_type_id=OuterRef("id"), status=_Status.ACTIVE)
    types = VisitType.objects.filter(Exists(waiting), is_active=True, waitlist_open=True)
    if organization_id is not None:
        types = types.filter(organization_id=organization_id)
    return list(types.order_by("id"))


def _is_enrolled(now: datetime) -> Exists:
    enrolled = Enrolment.objects.filter(
        Q(ends_at__isnull=True) | Q(ends_at__gt=now),
        patient_id=OuterRef("patient_id"),
        organization_id=OuterRef("visit_type__organization_id"),
        starts_at__lte=now,
    )
    return Exists(enrolled)


def doubtful_entries(now: datetime) -> QuerySet[Any]:
    """Return the active entries that may have lost their sense, with what that hangs on."""
    windows = WaitlistWindow.objects.filter(entry_id=OuterRef("id"))
    # West of UTC it may still be the day before; which day it is there is judged row by row.
    ahead = windows.filter(Q(last_on__isnull=True) | Q(last_on__gt=now.date()))
    return (
        with_contact(WaitlistEntry.objects.filter(status=_Status.ACTIVE), now)
        .annotate(is_enrolled=_is_enrolled(now))
        .filter(
            Q(contact_refusal__in=["deceased", "inactive"])
            | Q(is_enrolled=False)
            | Q(Exists(windows)) & ~Q(Exists(ahead))
            | Q(appointment__isnull=False) & ~Q(appointment__status__in=ANSWERABLE)
            | Q(appointment__starts_at__lte=now)
        )
    )


def line_of(visit_type: VisitType, *, now: datetime) -> list[Waiting]:
    """Return who waits for a kind of visit and has no offer open, in a fixed number of reads."""
    asked = WaitlistOffer.objects.filter(entry_id=OuterRef("id"), status="open")
    entries = list(
        with_contact(WaitlistEntry.objects.all(), now)
        .filter(~Exists(asked), _is_enrolled(now), visit_type=visit_type, status=_Status.ACTIVE)
        .select_related("appointment", "patient__user__quiet_hours")
        .prefetch_related("windows", "locations")
    )
    patients = {entry.patient_id for entry in entries}
    busy = _busy(patients, now=now)
    quiet = _quiet(entries, now=now)
    past = defaultdict(list)
    for offer in (
        WaitlistOffer.objects.filter(
            patient_id__in=patients, entry_id__in=[entry.id for entry in entries]
        )
        .select_related("hold")
        .order_by("-offered_at")
    ):
        past[offer.entry_id].append(offer)
    cutoff = timedelta(minutes=visit_type.cancel_cutoff_minutes)
    return [
        _waiting(entry, busy[entry.patient_id], quiet, past[entry.id], cutoff=cutoff, now=now)
        for entry in entries
    ]


def _waiting(
    entry: Any,
    busy: Iterable[tuple[UUID | None, int, int]],
    quiet: dict[UUID, Quiet],
    past: Sequence[WaitlistOffer],
    *,
    cutoff: timedelta,
    now: datetime,
) -> Waiting:
    rests = rests_until([(offer.status, offer.settled_at or now) for offer in past])
    visit = entry.appointment
    return Waiting(
        entry_id=entry.id,
        urgency=entry.urgency,
        since=entry.made_at,
        wish=wish_of(entry),
        quiet=quiet.get(entry.patient_id),
        has_visit=visit is not None,
        refusal=entry.contact_refusal or ("did-not-answer" if rests and rests > now else ""),
        changeable_until=visit and visit.starts_at - cutoff,
        # The visit that would be moved gives its time up.
        busy=Taken(
            (start, end)
            for visit_id, start, end in busy
            if visit_id is None or visit_id != entry.appointment_id
        ),
        not_again=frozenset(
            (offer.hold.schedule_id, offer.hold.starts_at)
            for offer in past
            if offer.status in ("declined", "expired")
        ),
    )


def _busy(patients: set[UUID], *, now: datetime) -> dict[UUID, list[tuple[UUID | None, int, int]]]:
    """Return when each patient has a visit (with its id), or a time that is kept for her."""
    found: dict[UUID, list[tuple[UUID | None, int, int]]] = defaultdict(list)
    for patient_id, visit_id, during in PatientClaim.objects.filter(
        patient_id__in=patients, active=True, during__endswith__gt=now
    ).values_list("patient_id", "appointment_id", "during"):
        found[patient_id].append(
            (visit_id, int(during.lower.timestamp()), int(during.upper.timestamp()))
        )
    for patient_id, starts_at, ends_at in Hold.objects.filter(
        patient_id__in=patients, ended_at__isnull=True, expires_at__gt=now
    ).values_list("patient_id", "starts_at", "ends_at"):
        found[patient_id].append((None, int(starts_at.timestamp()), int(ends_at.timestamp())))
    return found


def _quiet(entries: Sequence[Any], *, now: datetime) -> dict[UUID, Quiet]:
    """Return the quiet hours of whoever would answer: the patient, else her first caregiver."""
    found = {
        entry.patient_id: quiet_of(entry.patient.user)
        for entry in entries
        if entry.patient.user is not None and entry.patient.user.is_active
    }
    alone = {entry.patient_id for entry in entries} - set(found)
    if alone:
        for patient_id, caregiver in _caregivers(alone, now=now):
            found.setdefault(patient_id, quiet_of(caregiver))
    return found


def _caregivers(patients: set[UUID], *, now: datetime) -> list[tuple[UUID, User]]:
    grants = CaregiverGrant.objects.filter(
        Q(valid_until__isnull=True) | Q(valid_until__gt=now),
        patient_id__in=patients,
        scopes__contains=[str(Scope.APPOINTMENTS_WRITE)],
        revoked_at__isnull=True,
        valid_from__lte=now,
        caregiver__is_active=True,
    )
    return [
        (grant.patient_id, grant.caregiver)
        for grant in grants.select_related("caregiver__quiet_hours").order_by("id")
    ]


def openings_of(
    viewer: Viewer,
    visit_type: VisitType,
    line: Sequence[Waiting],
    *,
    patient_id: UUID,
    now: datetime,
) -> Openings:
    """Return what is free for a kind of visit as far ahead as anybody in the line wants it.

    `patient_id` is somebody of the line who is looked after at the clinic. Two statements.
    Raises: NotFound.
    """
    last = max(_last_wanted(who, visit_type, now) for who in line)
    first = now.date() - timedelta(days=1)
    _, supplies = supply_for(
        viewer,
        patient_id=patient_id,
        visit_type_id=visit_type.id,
        first=first,
        last=last,
        now=now,
    )
    taken, _ = time_taken(supplies, patient_id=_NO_PATIENT, first=first, last=last, now=now)
    found = heapq.merge(
        *(
            openings(
                schedule_id=supply.schedule_id,
                visit_type_id=visit_type.id,
                hours=supply.hours,
                visit=supply.visit,
                needs=[[taken[place] for place in pool] for pool in supply.pools],
                hers=Taken(),
                first=None,
                last=last,
                now=now,
            )
            for supply in supplies
        ),
        key=lambda opening: (opening.starts_at, opening.schedule_id),
    )
    by_schedule = {supply.schedule_id: supply for supply in supplies}
    return Openings(
        free=[
            Free.at(
                opening,
                location_id=by_schedule[opening.schedule_id].location_id,
                zone=by_schedule[opening.schedule_id].hours.zone,
            )
            for opening in found
        ],
        supplies=by_schedule,
    )


def _last_wanted(who: Waiting, visit_type: VisitType, now: datetime) -> date:
    """Return the last date, in any zone, on which she might want a visit."""
    furthest = (now + timedelta(days=visit_type.horizon_days + 1)).date()
    if who.wish.before is not None:
        furthest = min(furthest, who.wish.before.date() + timedelta(days=1))
    ends = [window.last_on for window in who.wish.windows]
    if ends and None not in ends:
        furthest = min(furthest, max(end for end in ends if end is not None))
    return furthest


def is_past(entry: WaitlistEntry, *, zone: str, now: datetime) -> bool:
    """Return whether every window of an entry is past, by the clinic's calendar."""
    today = now.astimezone(ZoneInfo(zone)).date()
    windows = entry.windows.all()
    return bool(windows) and all(
        window.last_on is not None and window.last_on < today for window in windows
    )
