"""Judges a history of visits: was what clients were told true, and do the tables agree with it?

Pure and written without the product's code: operations as clients saw them and rows as the
owner of the tables sees them go in, sentences about what is wrong come out.

What was acknowledged occupies its time at the latest from its answer on and at least until the
first request that could end it is sent; two such stretches on one resource must not meet. A
request without an answer may have had its effect, once, or none. Times are epoch seconds.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import Literal

Action = Literal[
    "hold", "renew", "release", "book", "move", "cancel", "block", "lift",
    "offer", "accept", "decline", "wait",
]  # fmt: skip
Outcome = Literal["ok", "refused", "unknown"]
ROOMS = "rooms"


@dataclass(frozen=True, slots=True)
class Kind:
    """How long a visit takes, what its resources are kept for besides, in seconds."""

    lasts: int
    before: int = 0
    after: int = 0
    takes_room: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A visit of one kind at one schedule, without buffers; `kind` is "" for a block."""

    schedule: str
    kind: str
    starts: int
    ends: int


@dataclass(frozen=True, slots=True)
class Operation:
    """What a client asked and was told.

    `subject` is the hold, visit, block or offer that the answer (or a change) names; `uses` the
    hold, offer or block that it ends. `until` is when a hold or an offer ends by itself.
    `answered` is infinite for an unknown outcome. `version` is 0 where the answer says none.
    """

    action: Action
    outcome: Outcome
    invoked: float
    answered: float
    patient: str = ""
    subject: str = ""
    uses: str = ""
    place: Place | None = None
    until: float = inf
    version: int = 0

    @property
    def may_count(self) -> bool:
        return self.outcome != "refused"


@dataclass(frozen=True, slots=True)
class Supply:
    """What there is: the resource of each schedule, the rooms, and every opening by the hours."""

    resources: Mapping[str, str]
    rooms: Sequence[str]
    kinds: Mapping[str, Kind]
    openings: frozenset[Place]

    def padded(self, place: Place) -> tuple[int, int]:
        """Return the time that the resources of a visit are kept."""
        kind = self.kinds.get(place.kind, Kind(0))
        return place.starts - kind.before, place.ends + kind.after

    def takes_room(self, place: Place) -> bool:
        return place.kind in self.kinds and self.kinds[place.kind].takes_room


@dataclass(frozen=True, slots=True)
class Visit:
    """A row of the visits; `live` unless it was cancelled."""

    id: str
    patient: str
    place: Place
    live: bool
    version: int


@dataclass(frozen=True, slots=True)
class Claim:
    """An active row that claims time of a resource for a visit, a block or a hold."""

    resource: str
    lane: int
    starts: int
    ends: int
    held_for: str


@dataclass(frozen=True, slots=True)
class Tables:
    """What is left at the end, when every hold has run out.

    `claims` are the active ones that have not run out. `found` is what the API offers to
    somebody without visits.
    """

    visits: Sequence[Visit]
    blocks: Mapping[str, Place]
    claims: Sequence[Claim]
    found: frozenset[Place]


@dataclass
class Verdict:
    """Sentences about what is wrong, by kind."""

    overlaps: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    invented: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        return [*self.overlaps, *self.lost, *self.invented, *self.stuck]


def check(history: Sequence[Operation], tables: Tables, supply: Supply) -> Verdict:
    """Return everything in which the history and the tables are wrong."""
    verdict = Verdict()
    verdict.overlaps += _overlaps(_occupied(history, supply), supply, "in the history")
    verdict.overlaps += _overlaps(_occupied_at_the_end(tables, supply), supply, "at the end")
    verdict.overlaps += _claims_that_meet(tables.claims)
    verdict.lost += _lost(history, tables)
    verdict.invented += _invented(history, tables)
    verdict.lost += _without_claims(tables, supply)
    verdict.stuck += _stuck_claims(tables)
    stuck, double = _openings(tables, supply)
    verdict.stuck += stuck
    verdict.overlaps += double
    return verdict


# --- no two at one time -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Stretch:
    """`who` has `key` from `starts` to `ends`, and that is certain from `since` to `until`."""

    key: str
    who: str
    starts: int
    ends: int
    since: float
    until: float


def _stretches(
    place: Place, who: str, patient: str, since: float, until: float, supply: Supply
) -> Iterator[_Stretch]:
    starts, ends = supply.padded(place)
    yield _Stretch(place.schedule, who, starts, ends, since, until)
    if supply.takes_room(place):
        yield _Stretch(ROOMS, who, starts, ends, since, until)
    if patient:
        yield _Stretch(f"patient {patient}", who, place.starts, place.ends, since, until)


def _occupied(history: Sequence[Operation], supply: Supply) -> Iterator[_Stretch]:
    """Yield what is certain to have been taken, and when it was certain."""
    used: dict[str, float] = {}
    doubtful: dict[str, float] = {}
    by_patient: dict[str, list[Operation]] = defaultdict(list)
    changes: dict[str, list[Operation]] = defaultdict(list)
    kept: dict[str, list[Operation]] = defaultdict(list)
    for one in sorted(history, key=lambda one: one.invoked):
        by_patient[one.patient].append(one)
        if not one.may_count:
            continue
        if one.uses:
            used.setdefault(one.uses, one.invoked)
        if one.action in ("book", "move", "cancel", "accept") and one.subject:
            changes[one.subject].append(one)
            if one.outcome == "unknown":
                doubtful.setdefault(one.subject, one.invoked)
        if one.action in ("hold", "renew", "offer", "block") and one.outcome == "ok":
            kept[one.subject].append(one)
    for visit, made in changes.items():
        known = [one for one in made if one.outcome == "ok"]
        for one, after in zip(known, [*known[1:], None], strict=True):
            until = min(after.invoked if after else inf, doubtful.get(visit, inf))
            if one.place is not None and one.action != "cancel":
                yield from _certain(one.place, visit, one.patient, one.answered, until, supply)
    for name, seen in kept.items():
        first = seen[0]
        assert first.place is not None
        until = min(max(one.until for one in seen), used.get(name, inf))
        if first.action != "block":
            until = min(until, _spent(first, by_patient[first.patient]))
        yield from _certain(first.place, name, "", first.answered, until, supply)


def _certain(
    place: Place, who: str, patient: str, since: float, until: float, supply: Supply
) -> Iterator[_Stretch]:
    if since < until:
        yield from _stretches(place, who, patient, since, until, supply)


def _spent(kept: Operation, hers: Iterable[Operation]) -> float:
    """Return when she may have used up what is kept for her without naming it.

    A booking of the same opening uses her hold. An offer is taken back when what she waits for
    changes, so any request of hers may end it.
    """
    for one in hers:
        if one.invoked < kept.answered or not one.may_count:
            continue
        takes_it = one.place == kept.place and one.action in ("book", "move")
        if takes_it or kept.action == "offer":
            return one.invoked
    return inf


def _occupied_at_the_end(tables: Tables, supply: Supply) -> Iterator[_Stretch]:
    for visit in tables.visits:
        if visit.live:
            yield from _stretches(visit.place, visit.id, visit.patient, 0, 1, supply)
    for name, place in tables.blocks.items():
        yield from _stretches(place, name, "", 0, 1, supply)


def _overlaps(stretches: Iterable[_Stretch], supply: Supply, where: str) -> list[str]:
    by_key: dict[str, list[_Stretch]] = defaultdict(list)
    for stretch in stretches:
        by_key[stretch.key].append(stretch)
    found = []
    for key, all_of_it in by_key.items():
        places = len(supply.rooms) if key == ROOMS else 1
        active: list[_Stretch] = []
        for new in sorted(all_of_it, key=lambda stretch: stretch.since):
            active = [one for one in active if one.until > new.since]
            meeting = [one for one in active if one.starts < new.ends and new.starts < one.ends]
            if _deepest([*meeting, new]) > places:
                others = ", ".join(sorted(one.who for one in meeting))
                found.append(f"{where}: {new.who} and {others} have {key} at {new.starts}")
            active.append(new)
    return found


def _deepest(stretches: Sequence[_Stretch]) -> int:
    """Return how many of them are there at one time, at most."""
    moments = {stretch.starts for stretch in stretches}
    return max(sum(one.starts <= at < one.ends for one in stretches) for at in moments)


def _claims_that_meet(claims: Sequence[Claim]) -> list[str]:
    found = []
    lanes: dict[tuple[str, int], list[Claim]] = defaultdict(list)
    for claim in claims:
        lanes[claim.resource, claim.lane].append(claim)
    for several in lanes.values():
        several.sort(key=lambda claim: claim.starts)
        for at, first in enumerate(several):
            for second in several[at + 1 :]:
                if second.starts >= first.ends:
                    break
                found.append(f"claims of {first.held_for} and {second.held_for} overlap")
    return found


# --- nothing lost, nothing invented -----------------------------------------------------------


def _lost(history: Sequence[Operation], tables: Tables) -> list[str]:
    """Return what was acknowledged and is not there, or is otherwise than acknowledged."""
    changes: dict[str, list[Operation]] = defaultdict(list)
    lifted: dict[str, Outcome] = {}
    for one in sorted(history, key=lambda one: one.invoked):
        if not one.may_count:
            continue
        if one.action in ("book", "move", "cancel", "accept") and one.subject:
            changes[one.subject].append(one)
        if one.action == "lift":
            lifted[one.uses] = one.outcome if lifted.get(one.uses) != "ok" else "ok"
    rows = {visit.id: visit for visit in tables.visits}
    found = []
    for name, made in changes.items():
        known = [one for one in made if one.outcome == "ok"]
        if known:
            found += _differs(name, known, made, rows.get(name))
    for one in history:
        if one.action != "block" or one.outcome != "ok":
            continue
        there = one.subject in tables.blocks
        if not there and one.subject not in lifted:
            found.append(f"block {one.subject} was acknowledged and is lost")
        if there and lifted.get(one.subject) == "ok":
            found.append(f"block {one.subject} was lifted and is there")
    return found


def _differs(
    name: str, known: Sequence[Operation], made: Sequence[Operation], row: Visit | None
) -> list[str]:
    if row is None:
        return [f"visit {name} was acknowledged and is lost"]
    last = known[-1]
    doubts = [one for one in made if one.outcome == "unknown"]
    wanted = {_effect(one) for one in (last, *doubts)}
    cancelled = last.action == "cancel"
    found = []
    if (row.place if row.live else None) not in wanted:
        told = "cancelled" if cancelled else f"at {last.place}"
        state = f"at {row.place}" if row.live else "cancelled"
        found.append(f"visit {name} is {state}, the last acknowledged is {told}")
    versions = [one.version for one in known if one.version]
    if any(after <= before for before, after in pairwise(versions)):
        found.append(f"visit {name}: the versions {versions} do not rise")
    if not doubts and last.version and row.version != last.version:
        found.append(f"visit {name} was changed by nobody: version {row.version}")
    return found


def _effect(one: Operation) -> Place | None:
    return None if one.action == "cancel" else one.place


def _invented(history: Sequence[Operation], tables: Tables) -> list[str]:
    """Return rows that no acknowledged request made and no request without an answer explains."""
    made = {one.subject for one in history if one.outcome == "ok"}
    doubts = Counter(
        (one.patient, one.place)
        for one in history
        if one.outcome == "unknown" and one.action in ("book", "accept", "block")
    )
    rows = [(visit.id, visit.patient, visit.place) for visit in tables.visits]
    rows += [(name, "", place) for name, place in tables.blocks.items()]
    moved = {
        (one.subject, one.place)
        for one in history
        if one.outcome == "unknown" and one.action in ("move", "accept")
    }
    found = []
    for name, patient, place in rows:
        if name in made or (name, place) in moved:
            continue
        if doubts[patient, place] > 0:
            doubts[patient, place] -= 1
        else:
            found.append(f"{name} at {place} was acknowledged to nobody")
    return found


# --- claims and openings ----------------------------------------------------------------------


def _without_claims(tables: Tables, supply: Supply) -> list[str]:
    """Return visits and blocks whose time is not claimed as it should be."""
    claimed: dict[str, list[Claim]] = defaultdict(list)
    for claim in tables.claims:
        claimed[claim.held_for].append(claim)
    lasting = {visit.id: visit.place for visit in tables.visits if visit.live} | dict(tables.blocks)
    found = []
    for name, place in lasting.items():
        span = supply.padded(place)
        wanted = Counter({(supply.resources[place.schedule], *span): 1})
        if supply.takes_room(place):
            wanted[ROOMS, *span] += 1
        there = Counter(
            (ROOMS if one.resource in supply.rooms else one.resource, one.starts, one.ends)
            for one in claimed[name]
        )
        if there != wanted:
            found.append(f"{name} at {place} does not claim its time")
    return found


def _stuck_claims(tables: Tables) -> list[str]:
    lasting = {visit.id for visit in tables.visits if visit.live} | set(tables.blocks)
    return [
        f"time of {claim.resource} at {claim.starts} is claimed for {claim.held_for}, which is over"
        for claim in tables.claims
        if claim.held_for not in lasting
    ]


def _openings(tables: Tables, supply: Supply) -> tuple[list[str], list[str]]:
    """Return openings that are free and not found, and those found that are taken."""
    lasting = {visit.id: visit.place for visit in tables.visits if visit.live} | dict(tables.blocks)
    taken: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place in lasting.values():
        taken[place.schedule].append(supply.padded(place))
    for claim in tables.claims:
        if claim.resource in supply.rooms and claim.held_for in lasting:
            taken[claim.resource].append((claim.starts, claim.ends))

    def is_free(key: str, span: tuple[int, int]) -> bool:
        return all(ends <= span[0] or starts >= span[1] for starts, ends in taken[key])

    free = {
        place
        for place in supply.openings
        if is_free(place.schedule, supply.padded(place))
        and (
            not supply.takes_room(place)
            or any(is_free(room, supply.padded(place)) for room in supply.rooms)
        )
    }
    stuck = [f"{place} is free and not offered" for place in sorted(free - tables.found, key=repr)]
    double = [f"{place} is taken and offered" for place in sorted(tables.found - free, key=repr)]
    return stuck, double
