"""The calendar of staff: what stands in it on some days, laid out by the wall clock."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Q

from accounts.models import Holiday
from appointments.models import (
    Appointment,
    Availability,
    AvailabilityException,
    Block,
    Location,
    Resource,
    ResourceClaim,
    Schedule,
    SiteClosure,
)
from appointments.selectors import appointments_for
from patients.viewer import Viewer

_DAY = timedelta(days=1)
_MIDNIGHT = 24 * 60
_GONE = (Appointment.Status.CANCELLED, Appointment.Status.ENTERED_IN_ERROR)

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that takes time, from minute to minute of the local day.

    `visit` is None for time that is taken without the viewer reaching by whom; then `kind`
    is what the claim says: a booking, a hold or a block.
    """

    kind: str
    from_minute: int
    until_minute: int
    lane: int
    lanes: int
    visit: Appointment | None = None
    words: str = ""
    overbooked: bool = False


@dataclass(slots=True)
class Column:
    """One resource on one local date: when it is open, and what stands in it."""

    resource: Resource
    on: date
    open: list[Span] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Agenda:
    """Columns of one location; `from_hour` to `until_hour` is what a page has to show."""

    location: Location
    columns: list[Column]
    from_hour: int
    until_hour: int

    @property
    def visits(self) -> list[Appointment]:
        """Return every visit that is shown."""
        return [e.visit for column in self.columns for e in column.entries if e.visit is not None]


def agenda(
    viewer: Viewer,
    *,
    location: Location,
    first: date,
    days: int,
    now: datetime,
    resource_id: UUID | None = None,
) -> Agenda:
    """Return `days` local dates of a location, or of one resource there.

    Visits are those in the viewer's reach; other people's time is shown as taken, because
    it is. Eight statements, whatever they hold.
    """
    schedules = list(
        Schedule.objects.filter(location=location, is_active=True, resource__is_active=True)
        .select_related("resource")
        .order_by("resource__kind", "resource__name", "id")
    )
    resources = {schedule.resource_id: schedule.resource for schedule in schedules}
    for standing in location.resources.filter(is_active=True).order_by("kind", "name", "id"):
        resources.setdefault(standing.id, standing)
    wanted = [one for one in resources.values() if resource_id in (None, one.id)]
    dates = [first + n * _DAY for n in range(days)]
    columns = {(one.id, on): Column(one, on) for on in dates for one in wanted}
    _open(columns, schedules, location, dates)
    _shut(columns, location, dates)
    _fill(columns, viewer, ZoneInfo(location.zone), wanted, dates, now)
    edges = [minute for one in columns.values() for span in one.open for minute in span]
    edges += [
        minute
        for one in columns.values()
        for entry in one.entries
        if entry.until_minute - entry.from_minute < _MIDNIGHT
        for minute in (entry.from_minute, entry.until_minute)
    ]
    return Agenda(
        location=location,
        columns=list(columns.values()),
        from_hour=min(edges, default=8 * 60) // 60,
        until_hour=max(-(-max(edges, default=17 * 60) // 60), 1),
    )


def _minute(at: time) -> int:
    return at.hour * 60 + at.minute


def _open(
    columns: dict[tuple[UUID, date], Column],
    schedules: Sequence[Schedule],
    location: Location,
    dates: Sequence[date],
) -> None:
    """Say when each column is open, by the weekly hours and the days that differ."""
    span = (dates[0], dates[-1])
    weekly: dict[UUID, list[Availability]] = defaultdict(list)
    for hours in Availability.objects.filter(
        Q(valid_until__isnull=True) | Q(valid_until__gte=span[0]),
        schedule__in=schedules,
        valid_from__lte=span[1],
    ):
        weekly[hours.schedule_id].append(hours)
    changes: dict[tuple[UUID, date], list[AvailabilityException]] = defaultdict(list)
    for change in AvailabilityException.objects.filter(schedule__in=schedules, date__range=span):
        changes[change.schedule_id, change.date].append(change)
    holidays = set(
        Holiday.objects.filter(
            organization_id=location.organization_id, date__range=span
        ).values_list("date", flat=True)
    )
    for schedule in schedules:
        for on in dates:
            column = columns.get((schedule.resource_id, on))
            if column is not None:
                column.open += open_spans(
                    on, weekly[schedule.id], changes[schedule.id, on], on in holidays
                )


def open_spans(
    on: date,
    weekly: Iterable[Availability],
    changes: Iterable[AvailabilityException],
    holiday: bool,
) -> list[Span]:
    """Return when a schedule is open on one date, in minutes of its clock."""
    spans: list[Span] = []
    if not holiday:
        spans = [
            (_minute(hours.starts), _minute(hours.ends))
            for hours in weekly
            if hours.iso_weekday == on.isoweekday()
            and hours.valid_from <= on
            and (hours.valid_until is None or on <= hours.valid_until)
        ]
    closed: list[Span] = []
    for change in changes:
        if change.starts is None or change.ends is None:
            return []
        (spans if change.kind == AvailabilityException.Kind.EXTRA else closed).append(
            (_minute(change.starts), _minute(change.ends))
        )
    for start, end in closed:
        spans = [
            piece
            for low, high in spans
            for piece in ((low, min(high, start)), (max(low, end), high))
            if piece[0] < piece[1]
        ]
    return sorted(spans)


def _shut(
    columns: dict[tuple[UUID, date], Column], location: Location, dates: Sequence[date]
) -> None:
    """Show over every column when the whole site is closed."""
    zone = ZoneInfo(location.zone)
    for closure in SiteClosure.objects.filter(
        location=location,
        lifted_at__isnull=True,
        starts_at__lt=datetime.combine(dates[-1] + _DAY, time(0), zone),
        ends_at__gt=datetime.combine(dates[0], time(0), zone),
    ).order_by("starts_at", "id"):
        for (_, on), column in columns.items():
            from_minute, until_minute = _on(on, zone, closure.starts_at, closure.ends_at)
            if from_minute < until_minute:
                column.entries.append(
                    Entry(
                        "closed", from_minute, until_minute, lane=0, lanes=1, words=closure.reason
                    )
                )


def _fill(
    columns: dict[tuple[UUID, date], Column],
    viewer: Viewer,
    zone: ZoneInfo,
    resources: Sequence[Resource],
    dates: Sequence[date],
    now: datetime,
) -> None:
    start = datetime.combine(dates[0], time(0), zone)
    end = datetime.combine(dates[-1] + _DAY, time(0), zone)
    claims = list(
        ResourceClaim.objects.filter(
            Q(expires_at__isnull=True) | Q(expires_at__gt=now),
            resource__in=resources,
            active=True,
            during__overlap=(start, end),
        ).order_by("during", "lane")
    )
    held_for = {claim.held_for for claim in claims}
    visits = {
        visit.id: visit
        for visit in appointments_for(viewer)
        .filter(id__in=held_for)
        .exclude(status__in=_GONE)
        .select_related("patient", "visit_type")
    }
    blocks = dict(Block.objects.filter(id__in=held_for).values_list("id", "reason"))
    lanes = {one.id: one.lanes for one in resources}
    wide = dict(lanes)
    for claim in claims:
        if claim.kind != ResourceClaim.Kind.BLOCK:
            wide[claim.resource_id] = max(wide[claim.resource_id], claim.lane + 1)
    for claim in claims:
        visit = visits.get(claim.held_for)
        lower, upper = claim.during.lower, claim.during.upper
        if visit is not None:
            lower, upper = visit.starts_at, visit.ends_at
        whole = claim.kind == ResourceClaim.Kind.BLOCK
        for on in dates:
            from_minute, until_minute = _on(on, zone, lower, upper)
            if from_minute < until_minute and not (whole and claim.lane):
                columns[claim.resource_id, on].entries.append(
                    Entry(
                        kind=claim.kind,
                        from_minute=from_minute,
                        until_minute=until_minute,
                        lane=0 if whole else claim.lane,
                        lanes=1 if whole else wide[claim.resource_id],
                        overbooked=not whole and claim.lane >= lanes[claim.resource_id],
                        visit=visit,
                        words=blocks.get(claim.held_for, ""),
                    )
                )


def _on(on: date, zone: ZoneInfo, lower: datetime, upper: datetime) -> Span:
    """Return the part of a span that the wall clock shows on one date, in minutes."""
    return _shown(on, lower.astimezone(zone)), _shown(on, upper.astimezone(zone))


def _shown(on: date, local: datetime) -> int:
    if local.date() < on:
        return 0
    return _MIDNIGHT if local.date() > on else _minute(local.time())
