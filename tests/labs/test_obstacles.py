"""Why calcium was not corrected, for staff and for her."""

from datetime import datetime
from typing import Any

import pytest

from clinical.calcium import OBSTACLE_TEXT
from clinical.patient_text import PROMISES
from core.db import identity, system
from labs.models import DerivedObstacle, Observation
from patients.models import ProfileFact
from tests.cast import Cast
from tests.labs.messages import ALBUMIN, CALCIUM, Obx, laboratory, send_one
from tests.tokens import Api, viewer_of

pytestmark = pytest.mark.django_db

EGFR = {"code": "98979-8", "name": "eGFR", "unit": "mL/min/{1.73_m2}", "range": ">60"}
IONIZED = {"code": "1995-0", "name": "Ca ion", "unit": "mmol/L", "range": "1.15-1.33"}


@pytest.fixture(autouse=True)
def lab(cast: Cast) -> None:
    laboratory(cast.clinic, flag_meanings={"Q": "HELD"})


def kept() -> list[list[str]]:
    with identity(system("lab-intake")):
        rows = DerivedObstacle.objects.filter(superseded_at__isnull=True).order_by("found_at")
        return [row.obstacles for row in rows]


def calcium_of(anna: Api) -> Any:
    (found,) = anna.get("patients/me/results", {"analyte": "calcium_total"}).json()["items"]
    return found["not_worked_out"]


@pytest.mark.parametrize(
    ("others", "reasons"),
    [
        ([Obx("4.1", **ALBUMIN)], ["albumin_high"]),
        ([Obx("0.9", **ALBUMIN)], ["albumin_too_low"]),
        ([Obx("<2.5", type="ST", **ALBUMIN)], ["not_a_plain_number"]),
        ([Obx("2.5", **ALBUMIN), Obx("59", **EGFR)], ["low_egfr"]),
    ],
)
def test_she_reads_one_plain_sentence(
    now: datetime, as_anna: Api, others: list[Obx], reasons: list[str]
) -> None:
    send_one(now, Obx("10.0", **CALCIUM), *others)
    assert kept() == [reasons]
    told = calcium_of(as_anna)
    assert told["reasons"] == reasons
    assert told["words"].startswith("This number was not corrected for albumin. ")
    assert not [promise for promise in PROMISES if promise in told["words"].lower()]


@pytest.mark.parametrize(
    "others",
    [[Obx("4.0", **ALBUMIN)], [Obx("1.0", **ALBUMIN)], [Obx("2.5", **ALBUMIN), Obx("60", **EGFR)]],
)
def test_nothing_is_said_where_it_was_corrected(
    now: datetime, as_anna: Api, others: list[Obx]
) -> None:
    send_one(now, Obx("10.0", **CALCIUM), *others)
    assert kept() == []
    assert calcium_of(as_anna) is None


@pytest.mark.parametrize(
    ("others", "reason"),
    [([], "no_albumin"), ([Obx("2.5", **ALBUMIN), Obx("1.2", **IONIZED)], "better_measured")],
)
def test_what_is_no_obstacle_is_for_staff_only(
    now: datetime, as_anna: Api, others: list[Obx], reason: str
) -> None:
    send_one(now, Obx("10.0", **CALCIUM), *others)
    assert kept() == [[reason]]
    assert calcium_of(as_anna) is None


def test_a_reason_from_a_held_result_is_absent(now: datetime, as_anna: Api, cast: Cast) -> None:
    send_one(now, Obx("10.0", **CALCIUM), Obx("4.1", flag="Q", **ALBUMIN))
    assert kept() == [["albumin_high"]]
    assert calcium_of(as_anna) is None
    with identity(viewer_of(cast.anna_user).identity):
        assert DerivedObstacle.objects.count() == 0


def test_a_reason_from_held_kidneys_is_absent(now: datetime, as_anna: Api) -> None:
    send_one(now, Obx("10.0", **CALCIUM), Obx("2.5", **ALBUMIN), Obx("59", flag="Q", **EGFR))
    assert kept() == [["low_egfr"]]
    assert calcium_of(as_anna) is None


def test_her_profile_is_a_reason_she_reads(now: datetime, as_anna: Api, cast: Cast) -> None:
    with identity(system("registration")):
        ProfileFact.objects.create(
            patient=cast.anna, kind="course", code="dialysis", result="present", source="test",
            recorded_at=now,
        )  # fmt: skip
    send_one(now, Obx("10.0", **CALCIUM), Obx("2.5", **ALBUMIN))
    assert calcium_of(as_anna)["words"].endswith(OBSTACLE_TEXT["dialysis"])  # type: ignore[index]


def test_a_corrected_albumin_takes_the_reason_away(now: datetime, as_anna: Api) -> None:
    send_one(now, Obx("10.0", **CALCIUM), Obx("4.1", **ALBUMIN))
    send_one(now, Obx("3.1", status="C", **ALBUMIN), resulted="20261120113000+0100")
    assert kept() == []
    assert calcium_of(as_anna) is None
    with identity(system("lab-intake")):
        assert DerivedObstacle.objects.get().superseded_at == now
        assert Observation.objects.filter(origin="derived").count() == 1
    send_one(now, Obx("4.2", status="C", **ALBUMIN), resulted="20261120123000+0100")
    assert kept() == [["albumin_high"]]
