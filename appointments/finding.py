"""Find openings: which times of which visits she can book, across clinics and people."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from uuid import UUID
from zoneinfo import ZoneInfo

from appointments.models import VisitType
from appointments.slots import Opening, Taken, openings
from appointments.supplies import DAY, Place, Supply, supplies_for, time_taken
from appointments.tickets import WITH_TICKETS, Permit, permits_for
from core.api.paging import decode_cursor, encode_cursor
from core.crypto import keyed_digest
from patients.viewer import Viewer

# How far one read looks when nobody said until when; a search without an end repeats it.
WINDOW_DAYS = 14


@dataclass(frozen=True, slots=True)
class Search:
    """Which openings are wanted. Empty sequences mean all.

    `first` and `last` are dates local to each location, both included. `first` None is today;
    `last` None is as far ahead as the visit types reach. `weekdays` are ISO (1 is Monday);
    a visit starts at or after `starts_from` and before `starts_until`, by the wall clock.
    """

    visit_type_ids: tuple[UUID, ...]
    first: date | None = None
    last: date | None = None
    schedule_id: UUID | None = None
    location_ids: tuple[UUID, ...] = ()
    practitioner_ids: tuple[UUID, ...] = ()
    weekdays: frozenset[int] = frozenset()
    starts_from: time | None = None
    starts_until: time | None = None

    @property
    def narrows(self) -> bool:
        """Return whether days of the week or times of the day are asked for."""
        times = (self.starts_from, self.starts_until)
        return bool(self.weekdays) or times != (None, None)

    def takes(self, starts_at: datetime) -> bool:
        """Return whether a start, in the zone of its location, is at a wanted time."""
        if self.weekdays and starts_at.isoweekday() not in self.weekdays:
            return False
        shown = starts_at.time()
        return (self.starts_from is None or self.starts_from <= shown) and (
            self.starts_until is None or shown < self.starts_until
        )


@dataclass(frozen=True, slots=True)
class Offered:
    """An opening and where it comes from."""

    opening: Opening
    supply: Supply


@dataclass(frozen=True, slots=True)
class OpeningPage:
    """A page of openings. With a hint none are shown: it says how this kind is booked."""

    items: list[Offered]
    next: str | None
    hints: tuple[str, ...] = ()


# Why a patient is shown no openings of a kind of visit, by its booking policy.
HINTS = {
    VisitType.BookingPolicy.VIEW.value: ("not-self-bookable",),
    VisitType.BookingPolicy.REQUEST.value: ("not-self-bookable", "request-needed"),
    VisitType.BookingPolicy.TICKET.value: ("not-self-bookable", "ticket-needed"),
}


def good_permits(
    policy: str, *, patient_id: UUID, visit_type_id: UUID, now: datetime
) -> list[Permit]:
    """Return the tickets with which she can book or move visits of this kind at `now`.

    None for a policy that knows no tickets, and then without a statement. The day before today is
    still today somewhere; the dates of a ticket are compared with those of openings.
    """
    if policy not in WITH_TICKETS:
        return []
    yesterday = now.date() - DAY
    return [
        permit
        for permit in permits_for(patient_id=patient_id, visit_type_id=visit_type_id, now=now)
        if permit.good and permit.latest >= yesterday
    ]


_Place = tuple[datetime, UUID, UUID]


@dataclass(frozen=True, slots=True)
class _Window:
    """What a span of dates offers: supplies with their permits, and what is taken."""

    supplies: list[tuple[Supply, list[Permit] | None]]
    taken: dict[Place, Taken]
    hers: Taken


def find(
    viewer: Viewer,
    *,
    patient_id: UUID,
    wanted: Search,
    now: datetime,
    limit: int,
    cursor: str | None = None,
) -> OpeningPage:
    """Return a page of openings by start, then schedule, then visit type.

    Two statements, whatever it holds, for a search with an end; without one, two for each
    fortnight until the page is full. A patient sees only what she may book herself; where a
    ticket allows it (one statement more a kind), on its dates.
    Raises: NotFound, InvalidInput for a cursor of another search.
    """
    # A digest: the search itself would make the cursor long.
    bound_to = keyed_digest("appointments.openings", viewer.key, repr(wanted))[:32]
    after: _Place | None = None
    first = wanted.first
    if cursor:
        start, schedule_id, visit_type_id = decode_cursor(bound_to, cursor, (datetime, UUID, UUID))
        after = (start, schedule_id, visit_type_id)
        resume = start.date() - DAY
        first = resume if first is None else max(first, resume)
    found: list[Offered] = []
    hints: tuple[str, ...] = ()
    while len(found) <= limit:
        lowest = now.date() - DAY if first is None else first
        last = lowest + WINDOW_DAYS * DAY if wanted.last is None else wanted.last
        window, hints, furthest = _window(
            viewer, patient_id=patient_id, wanted=wanted, first=lowest, last=last, now=now
        )
        for place, offered in _merged(window, wanted, first=first, last=last, now=now):
            if after is not None and place <= after:
                continue
            found.append(offered)
            if len(found) > limit:
                break
        if wanted.last is not None or last >= furthest:
            break
        first = last + DAY
    following = None
    if len(found) > limit:
        final = found[limit - 1].opening
        following = encode_cursor(
            bound_to, [final.starts_at, final.schedule_id, final.visit_type_id]
        )
    return OpeningPage(items=found[:limit], next=following, hints=hints)


def openings_for(
    viewer: Viewer,
    *,
    patient_id: UUID,
    visit_type_id: UUID,
    first: date | None,
    last: date | None,
    now: datetime,
    limit: int,
    location_id: UUID | None = None,
    schedule_id: UUID | None = None,
    cursor: str | None = None,
    days: int = WINDOW_DAYS,
) -> OpeningPage:
    """Return the next openings of one kind of visit, for `days` when `last` is None.

    As `find`.
    """
    wanted = Search(
        visit_type_ids=(visit_type_id,),
        first=first,
        last=(first or now.date()) + (days - 1) * DAY if last is None else last,
        schedule_id=schedule_id,
        location_ids=() if location_id is None else (location_id,),
    )
    return find(viewer, patient_id=patient_id, wanted=wanted, now=now, limit=limit, cursor=cursor)


@dataclass(frozen=True, slots=True)
class OpeningDay:
    """One local date of one location: how many openings it has, and the first."""

    on: date
    openings: int
    first: Offered


def days_with_openings(
    viewer: Viewer, *, patient_id: UUID, wanted: Search, now: datetime
) -> tuple[list[OpeningDay], tuple[str, ...]]:
    """Return the dates of a search that have openings, for a month on a phone, and hints.

    `wanted` needs a `last`. As `find`.
    """
    assert wanted.last is not None
    lowest = now.date() - DAY if wanted.first is None else wanted.first
    window, hints, _ = _window(
        viewer, patient_id=patient_id, wanted=wanted, first=lowest, last=wanted.last, now=now
    )
    firsts: dict[date, Offered] = {}
    counts: dict[date, int] = {}
    zones: dict[str, ZoneInfo] = {}
    for _, offered in _merged(window, wanted, first=wanted.first, last=wanted.last, now=now):
        name = offered.supply.hours.zone
        zone = zones.get(name)
        if zone is None:
            zone = zones[name] = ZoneInfo(name)
        on = offered.opening.starts_at.astimezone(zone).date()
        if on in counts:
            counts[on] += 1
        else:
            counts[on], firsts[on] = 1, offered
    return [OpeningDay(on, counts[on], firsts[on]) for on in sorted(counts)], hints


def _window(
    viewer: Viewer, *, patient_id: UUID, wanted: Search, first: date, last: date, now: datetime
) -> tuple[_Window, tuple[str, ...], date]:
    """Return what may be offered, why some kinds are not, and the last date worth asking for."""
    policies, supplies = supplies_for(
        viewer,
        patient_id=patient_id,
        visit_type_ids=wanted.visit_type_ids,
        schedule_id=wanted.schedule_id,
        location_ids=wanted.location_ids,
        practitioner_ids=wanted.practitioner_ids,
        first=first,
        last=last,
        now=now,
    )
    permits, hints = _permits(viewer, policies, patient_id=patient_id, now=now)
    offered = [
        (supply, permits.get(supply.visit_type_id))
        for supply in supplies
        if permits.get(supply.visit_type_id) != []
    ]
    if not offered:
        return _Window([], {}, Taken()), hints, last
    shown = [supply for supply, _ in offered]
    taken, hers = time_taken(shown, patient_id=patient_id, first=first, last=last, now=now)
    furthest = (now + max(supply.visit.horizon for supply in shown)).date() + DAY
    return _Window(offered, taken, hers), hints, furthest


def _permits(
    viewer: Viewer, policies: dict[UUID, str], *, patient_id: UUID, now: datetime
) -> tuple[dict[UUID, list[Permit] | None], tuple[str, ...]]:
    """Return for each kind what lets her book it: None for "nothing is needed", [] for no."""
    found: dict[UUID, list[Permit] | None] = dict.fromkeys(policies)
    hints: list[str] = []
    if viewer.kind not in ("patient", "proxy"):
        return found, ()
    for visit_type_id, policy in policies.items():
        if policy == VisitType.BookingPolicy.DIRECT:
            continue
        good = good_permits(policy, patient_id=patient_id, visit_type_id=visit_type_id, now=now)
        found[visit_type_id] = good
        if not good:
            hints += HINTS[policy]
    return found, tuple(dict.fromkeys(hints))


def _merged(
    window: _Window, wanted: Search, *, first: date | None, last: date, now: datetime
) -> Iterator[tuple[_Place, Offered]]:
    """Yield what the supplies of a window offer, the earliest first."""

    def of(supply: Supply, permits: Sequence[Permit] | None) -> Iterator[tuple[_Place, Offered]]:
        zone = ZoneInfo(supply.hours.zone)
        narrowed = permits is not None or wanted.narrows
        for opening in openings(
            schedule_id=supply.schedule_id,
            visit_type_id=supply.visit_type_id,
            hours=supply.hours,
            visit=supply.visit,
            needs=[[window.taken[place] for place in pool] for pool in supply.pools],
            hers=window.hers,
            first=first,
            last=last,
            now=now,
        ):
            if narrowed:
                local = opening.starts_at.astimezone(zone)
                allowed = permits is None or any(one.covers(local.date()) for one in permits)
                if not allowed or not wanted.takes(local):
                    continue
            place = (opening.starts_at, supply.schedule_id, supply.visit_type_id)
            yield place, Offered(opening, supply)

    # Places are unique, so offers are never compared.
    yield from heapq.merge(*(of(supply, permits) for supply, permits in window.supplies))
