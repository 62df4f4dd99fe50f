"""HL7-7 end to end: rows of the boundary table as messages, read by her from the API."""

import csv
from datetime import datetime

import pytest

from core.db import identity, system
from labs.models import IntakeItem
from tests.cast import Cast
from tests.labs.messages import Obx, laboratory, send_one
from tests.tokens import api_of
from tests.unit.clinical.test_boundaries import GOLDEN
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db

with GOLDEN.open(encoding="utf-8", newline="") as table:
    CASES = list(csv.DictReader(table))[::8]


@pytest.mark.parametrize(
    "case", CASES, ids=lambda c: f"{c['analyte']} {c['value']} {c['unit']} [{c['range']}]"
)
def test_she_reads_what_the_table_says(cast: Cast, now: datetime, case: dict[str, str]) -> None:
    laboratory(cast.clinic)
    send_one(
        now,
        Obx(
            case["value"],
            code=case["loinc"],
            name=case["analyte"],
            unit=case["unit"],
            range=case["range"],
            flag=case["flags"],
            type=case["type"],
        ),
    )
    items = api_of(cast.anna_user, "labs.read").get("patients/me/results").json()["items"]
    with identity(system("worklist")):
        urgent = WorkItem.objects.filter(urgency="EMERGENCY").count()
    assert (urgent > 0) == (case["staff_critical"] == "yes")
    if case["unit"] == "furlong":
        # It waits until somebody has said what the unit means.
        with identity(system("lab-intake")):
            assert IntakeItem.objects.get().reason == "unknown-unit"
        assert items == []
        return
    (shown,) = items
    assert (shown["state"], shown["value"]["text"]) == (case["state"], case["value"])
