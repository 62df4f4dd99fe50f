"""What counts as a fault in the race and in booking different openings."""

import pytest

from bench.race import round_faults
from bench.session import booking_figures
from bench.traffic import Traffic


def seen(statuses: dict[int, int], broken: int = 0) -> Traffic:
    return Traffic(1.0, [1] * sum(statuses.values()), statuses, {}, broken)


def test_one_winner_one_claim_and_conflicts_is_right() -> None:
    assert round_faults(1, seen({201: 1, 409: 49}), 1, 50) == []


@pytest.mark.parametrize(
    ("statuses", "claims", "broken"),
    [
        ({409: 50}, 0, 0),
        ({201: 2, 409: 48}, 2, 0),
        ({201: 1, 409: 49}, 2, 0),
        ({201: 1, 409: 48, 500: 1}, 1, 0),
        ({201: 1, 409: 48}, 1, 1),
        ({201: 1, 409: 48, 404: 1}, 1, 0),
    ],
)
def test_anything_else_is_a_fault(statuses: dict[int, int], claims: int, broken: int) -> None:
    assert round_faults(1, seen(statuses, broken), claims, 50)


def test_a_refusal_of_a_different_opening_is_a_fault() -> None:
    assert booking_figures("x", 10, {201: 10})["faults"] == []
    refused = booking_figures("x", 10, {201: 9, 409: 1})
    assert (refused["booked"], refused["refused"]) == (9, 1)
    assert refused["faults"]
