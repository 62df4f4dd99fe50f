"""Work items whose result changed afterwards, and calcium that rises within its range."""

from datetime import datetime, timedelta

import pytest

from core.db import identity, system
from tests.cast import Cast
from tests.labs.messages import ALBUMIN, CALCIUM, Obx, laboratory, send_one
from worklist.models import Evidence, WorkItem

pytestmark = pytest.mark.django_db

LATER = "20261120113000+0100"


@pytest.fixture(autouse=True)
def lab(cast: Cast) -> None:
    laboratory(cast.clinic)


def items() -> list[WorkItem]:
    with identity(system("worklist")):
        return list(WorkItem.objects.order_by("raised_at", "concern"))


def corrections() -> list[str]:
    with identity(system("worklist")):
        return list(Evidence.objects.filter(kind="correction").values_list("summary", flat=True))


def test_a_critical_result_corrected_to_normal_stays_open_and_says_so(now: datetime) -> None:
    send_one(now, Obx("900", flag="HH"))
    (before,) = items()
    send_one(now, Obx("30", status="C"), resulted=LATER)
    (after,) = items()
    (told,) = corrections()
    words = "corrected: was 900 U/L (CRITICAL_HIGH), now 30 U/L (IN_RANGE)"
    assert told.endswith(words)
    assert (after.title, after.urgency, after.due_at, after.closed_at, after.acknowledged_at) == (
        before.title,
        "EMERGENCY",
        before.due_at,
        None,
        None,
    )


def test_a_withdrawn_result_says_so(now: datetime) -> None:
    send_one(now, Obx("900", flag="HH"))
    send_one(now, Obx("900", status="D"), resulted=LATER)
    assert [line.endswith("now withdrawn") for line in corrections()] == [True]


def test_an_early_result_that_became_final_changed(now: datetime) -> None:
    send_one(now, Obx("900", flag="HH", status="P"))
    send_one(now, Obx("30"), resulted=LATER)
    assert [" changed: was 900 U/L" in line for line in corrections()] == [True]


def test_the_same_again_adds_nothing(now: datetime) -> None:
    send_one(now, Obx("900", flag="HH"))
    send_one(now, Obx("900", flag="HH", status="C", notes=["Repeated."]), resulted=LATER)
    assert corrections() == []


def test_a_result_without_an_item_raises_none(now: datetime) -> None:
    send_one(now, Obx("31"))
    send_one(now, Obx("30", status="C"), resulted=LATER)
    assert (items(), corrections()) == ([], [])


def close_all(now: datetime) -> None:
    with identity(system("worklist")):
        WorkItem.objects.filter(closed_at__isnull=True).update(
            closed_at=now, closure_code="called", acknowledged_at=None, closed_by=None
        )


def open_items() -> list[WorkItem]:
    return [item for item in items() if item.closed_at is None]


@pytest.mark.parametrize(
    ("value", "status", "told"),
    [("30", "C", "was 900 U/L (CRITICAL_HIGH), now 30 U/L (IN_RANGE)"), ("900", "D", "withdrawn")],
)
def test_a_correction_after_the_item_was_closed_opens_another(
    now: datetime, value: str, status: str, told: str
) -> None:
    """Somebody acted on the old number, perhaps sent her to the emergency room."""
    send_one(now, Obx("900", flag="HH"))
    close_all(now)
    later = now + timedelta(hours=1)
    send_one(later, Obx(value, status=status), resulted=LATER)
    closed, reopened = sorted(items(), key=lambda item: item.closed_at is None)
    assert (closed.closed_at, closed.closure_code) == (now, "called")
    assert (reopened.concern, reopened.owner_team) == (closed.concern, closed.owner_team)
    assert reopened.organization_id == closed.organization_id
    assert (reopened.urgency, reopened.due_at) == ("SAME_DAY", later + timedelta(hours=2))
    assert reopened.title == "A result changed after its item was closed: review today"
    assert [line.endswith(told) for line in corrections()] == [True]


def test_a_critical_value_after_the_item_was_closed_is_an_emergency_again(now: datetime) -> None:
    send_one(now, Obx("900", flag="HH"))
    close_all(now)
    send_one(now, Obx("950", flag="HH", status="C"), resulted=LATER)
    (corrected,) = open_items()
    assert (corrected.urgency, corrected.title.startswith("Critical result")) == ("EMERGENCY", True)
    close_all(now)
    send_one(now, Obx("980", flag="HH"), filler="FL2")
    assert [item.urgency for item in open_items()] == ["EMERGENCY"]


def test_a_result_corrected_twice_is_told_twice(now: datetime) -> None:
    send_one(now, Obx("900", flag="HH"))
    send_one(now, Obx("30", status="C"), resulted=LATER)
    send_one(now, Obx("200", status="C"), resulted="20261120123000+0100")
    assert [line.rpartition("now ")[2] for line in corrections()] == [
        "30 U/L (IN_RANGE)",
        "200 U/L (HIGH)",
    ]


def test_a_correction_asks_whoever_took_the_item_to_look_again(now: datetime, cast: Cast) -> None:
    send_one(now, Obx("900", flag="HH"))
    with identity(system("worklist")):
        WorkItem.objects.update(acknowledged_at=now, acknowledged_by=cast.nurse, owner=cast.nurse)
    later = now + timedelta(hours=1)
    send_one(later, Obx("30", status="C"), resulted=LATER)
    (item,) = items()
    assert (item.acknowledged_at, item.owner_id) == (None, cast.nurse.pk)
    assert item.due_at == later + timedelta(minutes=15)


def test_the_correction_of_a_rising_calcium_is_told(now: datetime) -> None:
    rise(now, "9.0", "9.1", "9.64")
    send_one(
        now, Obx("9.2", status="C", **CALCIUM), filler="C3",
        collected="20261103081500+0100", resulted=LATER,
    )  # fmt: skip
    assert [line.endswith("now 9.2 mg/dL (IN_RANGE)") for line in corrections()] == [True]


def test_a_corrected_input_is_told_at_the_item_of_the_derived_value(now: datetime) -> None:
    send_one(now, Obx("10.0", **CALCIUM), Obx("2.0", **ALBUMIN))
    (item,) = items()
    assert item.urgency == "SAME_DAY"
    send_one(now, Obx("3.8", status="C", **ALBUMIN), resulted=LATER)
    assert len(corrections()) == 1
    assert len(items()) == 1


# --- rising -------------------------------------------------------------------------------------


def rise(now: datetime, *values: str, **more: str) -> list[str]:
    for day, value in enumerate(values, start=1):
        collected = f"202611{day:02}081500+0100"
        send_one(
            now, Obx(value, **{**CALCIUM, **more}), filler=f"C{day}",
            collected=collected, resulted=collected,
        )  # fmt: skip
    return [item.title for item in items()]


TITLE = "Calcium is rising: review today"


@pytest.mark.parametrize(
    ("values", "raised"),
    [
        (("9.0", "9.1", "9.64"), True),
        # 5.9 % above 9.1 is 9.6369
        (("9.0", "9.1", "9.63"), False),
        (("9.1", "9.1", "9.64"), False),
        (("9.2", "9.1", "9.64"), False),
        (("9.1", "9.64"), False),
        (("10.1", "9.7", "9.0"), False),
        (("9.0", "<9.1", "9.64"), False),
    ],
)
def test_a_second_rise_beyond_normal_variation_is_reviewed_the_same_day(
    now: datetime, values: tuple[str, ...], raised: bool
) -> None:
    assert rise(now, *values) == ([TITLE] if raised else [])
    if raised:
        (item,) = items()
        assert (item.urgency, item.concern) == ("SAME_DAY", "calcium")


def test_an_old_result_that_comes_late_raises_nothing(now: datetime) -> None:
    assert rise(now, "9.0", "9.1") == []
    send_one(now, Obx("9.7", **CALCIUM), filler="C9", collected="20261109081500+0100")
    assert [item.title for item in items()] == [TITLE]
    with identity(system("worklist")):
        WorkItem.objects.update(closed_at=now, closure_code="called")
    send_one(now, Obx("8.9", **CALCIUM), filler="C0", collected="20261031081500+0100")
    assert [item.closed_at for item in items()] == [now]


def test_above_the_range_it_is_one_item_of_the_concern(now: datetime) -> None:
    assert len(rise(now, "9.0", "9.6", "10.3")) == 1
