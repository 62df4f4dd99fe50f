"""The checker finds each way in which a history of visits can be wrong, and nothing else."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.proof.visit_history import (
    Claim,
    Kind,
    Operation,
    Place,
    Supply,
    Tables,
    Verdict,
    Visit,
    check,
)

HALF = 1800
KINDS = {"talk": Kind(HALF), "scan": Kind(2 * HALF, after=900, takes_room=True)}


def place(schedule: str = "a", starts: int = 0, kind: str = "talk") -> Place:
    return Place(schedule, kind, starts, starts + KINDS[kind].lasts)


SUPPLY = Supply(
    resources={"a": "Ann", "b": "Bo"},
    rooms=["R1"],
    kinds=KINDS,
    openings=frozenset(
        place(schedule, starts * HALF, kind)
        for schedule in "ab"
        for starts in range(4)
        for kind in KINDS
    ),
)


def did(action: str, at: float, **facts: object) -> Operation:
    outcome = facts.pop("outcome", "ok")
    answered = inf if outcome == "unknown" else at + 1
    return Operation(action, outcome, at, answered, **facts)  # type: ignore[arg-type]


def booked(visit: str, where: Place, at: float, patient: str = "p", **facts: object) -> Operation:
    return did("book", at, subject=visit, place=where, patient=patient, version=1, **facts)


def claims_of(visit: str, where: Place) -> list[Claim]:
    starts, ends = SUPPLY.padded(where)
    found = [Claim(SUPPLY.resources[where.schedule], 0, starts, ends, visit)]
    if SUPPLY.takes_room(where):
        found.append(Claim("R1", 0, starts, ends, visit))
    return found


def free_beside(*taken: Place) -> frozenset[Place]:
    """Return what is free, worked out half hour by half hour."""

    def meets(one: Place, other: Place) -> bool:
        (starts, ends), (from_, until) = SUPPLY.padded(one), SUPPLY.padded(other)
        both = SUPPLY.takes_room(one) and SUPPLY.takes_room(other)
        return (both or one.schedule == other.schedule) and starts < until and from_ < ends

    return frozenset(
        one for one in SUPPLY.openings if not any(meets(one, other) for other in taken)
    )


def tables(*visits: Visit, blocks: dict[str, Place] | None = None) -> Tables:
    """Return tables that agree with each other."""
    lasting = {one.id: one.place for one in visits if one.live} | (blocks or {})
    return Tables(
        visits=visits,
        blocks=blocks or {},
        claims=[claim for name, where in lasting.items() for claim in claims_of(name, where)],
        found=free_beside(*lasting.values()),
    )


def row(visit: str, where: Place, patient: str = "p", version: int = 1, live: bool = True) -> Visit:
    return Visit(visit, patient, where, live, version)


def judged(history: list[Operation], final: Tables) -> Verdict:
    return check(history, final, SUPPLY)


def kinds_of(verdict: Verdict) -> set[str]:
    return {name for name, sentences in vars(verdict).items() if sentences}


NINE, TEN = place(), place(starts=2 * HALF)


def test_a_right_history_is_right() -> None:
    scan = place("b", 0, "scan")
    history = [
        did("hold", 0, subject="h", place=NINE, until=100, patient="p"),
        did("hold", 1, outcome="refused", place=NINE, patient="q"),
        booked("v", NINE, 2, uses="h"),
        did("move", 4, subject="v", place=TEN, version=2, patient="p"),
        booked("w", NINE, 6, patient="q"),
        did("cancel", 8, subject="w", version=2, patient="q"),
        did("hold", 10, subject="i", place=NINE, until=20, patient="q"),
        booked("x", scan, 21, patient="r"),
        did("block", 22, subject="k", place=Place("a", "", 0, HALF)),
    ]
    final = tables(
        row("v", TEN, version=2), row("w", NINE, "q", 2, live=False), row("x", scan, "r"),
        blocks={"k": Place("a", "", 0, HALF)},
    )  # fmt: skip
    assert judged(history, final).faults == []


# --- overlap ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "second",
    [
        booked("w", NINE, 5, patient="q"),
        booked("w", place("a", HALF - 60), 5, patient="q"),
        did("hold", 5, subject="h", place=NINE, until=100, patient="q"),
        did("offer", 5, subject="o", place=NINE, until=100, patient="q"),
        did("block", 5, subject="k", place=Place("a", "", 0, 60)),
        booked("w", place("b", 0), 5, patient="p"),
    ],
)
def test_two_that_had_one_time_at_once_are_seen_although_nothing_is_left(
    second: Operation,
) -> None:
    first = booked("v", NINE, 0)
    gone = [
        did("cancel", 20, subject="v", version=2, patient="p"),
        did("cancel", 20, subject="w", version=2, patient=second.patient),
        did("release", 20, uses="h", patient="q"),
        did("lift", 20, uses="k"),
    ]
    gone = [one for one in gone if (one.subject or one.uses) in ("v", second.subject)]
    rows = [row("v", NINE, version=2, live=False)]
    if second.action == "book":
        assert second.place is not None
        rows.append(row("w", second.place, second.patient, 2, live=False))
    found = judged([first, second, *gone], tables(*rows))
    assert kinds_of(found) == {"overlaps"}
    in_turn = [replace(second, invoked=30, answered=31, until=second.until + 30), *gone[1:]]
    after = [replace(one, invoked=40, answered=41) if one in gone[1:] else one for one in in_turn]
    assert judged([first, gone[0], *after], tables(*rows)).faults == []


def test_a_hold_that_ran_out_or_was_used_stands_in_nobodys_way() -> None:
    ran_out = did("hold", 0, subject="h", place=NINE, until=5, patient="p")
    late = booked("v", NINE, 5, patient="q")
    assert judged([ran_out, late], tables(row("v", NINE, "q"))).faults == []
    early = replace(late, invoked=2, answered=3)
    assert kinds_of(judged([ran_out, early], tables(row("v", NINE, "q")))) == {"overlaps"}
    renewed = did("renew", 4, subject="h", place=NINE, until=9, patient="p")
    found = judged([ran_out, renewed, late], tables(row("v", NINE, "q")))
    assert kinds_of(found) == {"overlaps"}
    direct = booked("v", NINE, 1, patient="p")
    assert judged([ran_out, direct], tables(row("v", NINE))).faults == []


def test_more_than_there_are_rooms_is_an_overlap() -> None:
    first, second = place("a", 0, "scan"), place("b", 0, "scan")
    history = [booked("v", first, 0), booked("w", second, 0, patient="q")]
    found = judged(history, tables(row("v", first), row("w", second, "q")))
    assert any("rooms" in fault for fault in found.overlaps)
    more = replace(SUPPLY, rooms=["R1", "R2"])
    assert not any(
        "rooms" in fault
        for fault in check(history, tables(row("v", first), row("w", second, "q")), more).overlaps
    )


def test_buffers_count() -> None:
    scan, after = place("a", 0, "scan"), place("a", 2 * HALF)
    history = [booked("v", scan, 0), booked("w", after, 3, patient="q")]
    found = judged(history, tables(row("v", scan), row("w", after, "q")))
    assert "overlaps" in kinds_of(found)


def test_overlapping_claims_are_seen() -> None:
    final = tables(row("v", NINE))
    twice = replace(final, claims=[*final.claims, Claim("Ann", 0, 60, 120, "v")])
    assert judged([booked("v", NINE, 0)], twice).overlaps


def test_a_taken_time_that_is_offered_is_an_overlap_to_be() -> None:
    final = tables(row("v", NINE))
    assert kinds_of(judged([booked("v", NINE, 0)], replace(final, found=SUPPLY.openings))) == {
        "overlaps"
    }


# --- lost -------------------------------------------------------------------------------------


def test_a_lost_visit_is_seen() -> None:
    assert kinds_of(judged([booked("v", NINE, 0)], tables())) == {"lost"}


def test_a_visit_that_is_elsewhere_or_cancelled_by_nobody_is_seen() -> None:
    history = [booked("v", NINE, 0)]
    assert kinds_of(judged(history, tables(row("v", TEN)))) == {"lost"}
    assert kinds_of(judged(history, tables(row("v", NINE, live=False)))) == {"lost"}
    assert kinds_of(judged(history, tables(row("v", NINE, version=2)))) == {"lost"}


def test_a_cancelled_visit_that_lives_and_a_move_that_is_undone_are_seen() -> None:
    cancel = did("cancel", 5, subject="v", version=2, patient="p")
    assert kinds_of(judged([booked("v", NINE, 0), cancel], tables(row("v", NINE, version=2)))) == {
        "lost"
    }
    move = did("move", 5, subject="v", place=TEN, version=2, patient="p")
    assert kinds_of(judged([booked("v", NINE, 0), move], tables(row("v", NINE, version=2)))) == {
        "lost"
    }


def test_two_answers_with_one_version_are_a_lost_update() -> None:
    moves = [
        did("move", at, subject="v", place=where, version=2, patient="p")
        for at, where in ((5, TEN), (9, NINE))
    ]
    found = judged([booked("v", NINE, 0), *moves], tables(row("v", NINE, version=2)))
    assert any("do not rise" in fault for fault in found.lost)


def test_a_lost_block_and_one_that_outlives_its_end_are_seen() -> None:
    where = Place("a", "", 0, HALF)
    block, lift = did("block", 0, subject="k", place=where), did("lift", 5, uses="k")
    assert kinds_of(judged([block], tables())) == {"lost"}
    assert kinds_of(judged([block, lift], tables(blocks={"k": where}))) == {"lost"}
    assert judged([block, lift], tables()).faults == []
    assert judged([block], tables(blocks={"k": where})).faults == []


def test_a_visit_without_its_claims_is_lost_time() -> None:
    final = replace(tables(row("v", NINE)), claims=[])
    assert kinds_of(judged([booked("v", NINE, 0)], final)) == {"lost"}


# --- invented and refused ---------------------------------------------------------------------


def test_a_visit_that_nobody_was_told_of_is_invented() -> None:
    assert kinds_of(judged([], tables(row("v", NINE)))) == {"invented"}
    refused = did("book", 0, outcome="refused", place=NINE, patient="p")
    assert kinds_of(judged([refused], tables(row("v", NINE)))) == {"invented"}
    assert kinds_of(judged([], tables(blocks={"k": Place("a", "", 0, HALF)}))) == {"invented"}


# --- no answer --------------------------------------------------------------------------------


def test_without_an_answer_either_is_right_but_once() -> None:
    doubt = did("book", 0, outcome="unknown", place=NINE, patient="p")
    assert judged([doubt], tables()).faults == []
    assert judged([doubt], tables(row("v", NINE))).faults == []
    twice = tables(row("v", NINE), row("w", NINE))
    assert "invented" in kinds_of(judged([doubt], twice))
    assert kinds_of(judged([doubt], tables(row("v", TEN)))) == {"invented"}
    assert kinds_of(judged([doubt], tables(row("v", NINE, "q")))) == {"invented"}


@pytest.mark.parametrize("action", ["cancel", "move"])
def test_a_change_without_an_answer_happened_or_not(action: str) -> None:
    where = {"place": TEN} if action == "move" else {}
    doubt = did(action, 5, outcome="unknown", subject="v", patient="p", **where)
    history = [booked("v", NINE, 0), doubt]
    changed = row("v", TEN, version=2) if where else row("v", NINE, version=2, live=False)
    assert judged(history, tables(row("v", NINE))).faults == []
    assert judged(history, tables(changed)).faults == []
    elsewhere = row("v", place("b"), version=2)
    assert kinds_of(judged(history, tables(elsewhere))) == {"lost"}
    taken_meanwhile = booked("w", NINE, 9, patient="q")
    final = tables(changed, row("w", NINE, "q"))
    assert judged([*history, taken_meanwhile], final).faults == []


# --- stuck ------------------------------------------------------------------------------------


def test_a_free_opening_that_is_not_found_is_stuck() -> None:
    final = tables()
    assert kinds_of(judged([], replace(final, found=final.found - {NINE}))) == {"stuck"}


def test_a_claim_that_outlives_what_it_was_for_is_stuck() -> None:
    history = [booked("v", NINE, 0), did("cancel", 5, subject="v", version=2, patient="p")]
    final = tables(row("v", NINE, version=2, live=False))
    left = replace(final, claims=claims_of("v", NINE), found=free_beside(NINE))
    assert kinds_of(judged(history, left)) == {"stuck"}


# --- histories of a right system --------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 7), st.integers(0, 2)), max_size=40))
def test_what_happens_one_after_the_other_is_never_blamed(
    steps: list[tuple[int, int, int]],
) -> None:
    """Six people book, move and cancel half hours of one practitioner, rightly."""
    at: dict[int, tuple[str, int, int]] = {}
    rows: dict[str, Visit] = {}
    history = []
    for number, (who, slot, what) in enumerate(steps):
        where = place(starts=slot * HALF)
        free = all(slot != taken for _, taken, _ in at.values())
        facts = {"patient": str(who), "place": where}
        if what == 2 and who in at:
            visit, _, version = at.pop(who)
            history.append(
                did("cancel", 2 * number, subject=visit, version=version + 1, patient=str(who))
            )
            rows[visit] = replace(rows[visit], live=False, version=version + 1)
        elif not free:
            history.append(did("book", 2 * number, outcome="refused", **facts))
        elif who in at:
            visit, _, version = at[who]
            at[who] = (visit, slot, version + 1)
            history.append(did("move", 2 * number, subject=visit, version=version + 1, **facts))
            rows[visit] = replace(rows[visit], place=where, version=version + 1)
        else:
            visit = f"v{number}"
            at[who] = (visit, slot, 1)
            history.append(did("book", 2 * number, subject=visit, version=1, **facts))
            rows[visit] = Visit(visit, str(who), where, True, 1)
    assert judged(history, tables(*rows.values())).faults == []
