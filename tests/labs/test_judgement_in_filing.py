"""What a laboratory's settings and a person's particulars do to the judgement that is stored."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core.db import identity, system
from core.models import AuditEvent
from labs.models import ConfiguredRange, IntakeItem, Observation, SendingLaboratory
from labs.services.intake import reprocess
from patients.models import ProfileFact
from tests.cast import Cast
from tests.labs.messages import (
    ALBUMIN,
    BILIRUBIN,
    CALCIUM,
    Obr,
    Obx,
    laboratory,
    oru,
    send,
    send_one,
)
from worklist.models import Evidence, WorkItem

pytestmark = pytest.mark.django_db


def results(**where: Any) -> list[Observation]:
    with identity(system("lab-intake")):
        return list(Observation.objects.filter(superseded_at__isnull=True, **where))


def one(**where: Any) -> Observation:
    [row] = results(**where)
    return row


def queue() -> set[str]:
    with identity(system("lab-intake")):
        return set(
            IntakeItem.objects.filter(cleared_at__isnull=True).values_list("reason", flat=True)
        )


def urgencies() -> dict[str, str]:
    with identity(system("worklist")):
        return dict(WorkItem.objects.values_list("concern", "urgency"))


def with_range(lab: SendingLaboratory, cast: Cast, now: datetime, **changes: Any) -> None:
    values: dict[str, Any] = {
        "laboratory": lab, "analyte_key": "alt", "sex": "female", "age_from_years": 18,
        "unit": "U/L", "low": Decimal(5), "high": Decimal(34), "source": "test catalogue",
        "valid_from": date(2026, 1, 1), "entered_by": cast.lab, "approved_by": cast.nurse,
        "approved_at": now,
    }  # fmt: skip
    with identity(system("registration")):
        ConfiguredRange.objects.create(**{**values, **changes})


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({}, "HIGH"),
        ({"high": Decimal(35)}, "IN_RANGE"),
        ({"approved_by": None, "approved_at": None}, "NO_RANGE"),
        ({"sex": "male"}, "NO_RANGE"),
        ({"sex": ""}, "HIGH"),
        ({"age_from_years": 56}, "HIGH"),
        ({"age_from_years": 57}, "NO_RANGE"),
        ({"age_to_years": 57}, "HIGH"),
        ({"age_to_years": 56}, "NO_RANGE"),
        ({"valid_from": date(2026, 11, 20)}, "HIGH"),
        ({"valid_from": date(2026, 11, 21)}, "NO_RANGE"),
        ({"valid_until": date(2026, 11, 21)}, "HIGH"),
        ({"valid_until": date(2026, 11, 20)}, "NO_RANGE"),
        ({"loinc": "1742-6"}, "HIGH"),
        ({"loinc": "1743-4"}, "NO_RANGE"),
        ({"analyte_key": "ast"}, "NO_RANGE"),
    ],
)
def test_an_approved_range_judges_whom_and_when_it_is_for(
    cast: Cast, now: datetime, changes: dict[str, Any], state: str
) -> None:
    """Anna is 56 on 20 November 2026."""
    with_range(laboratory(cast.clinic), cast, now, **changes)
    send_one(now, Obx("35", range=""))
    row = one()
    assert row.state == state
    assert row.basis == ("none" if state == "NO_RANGE" else "configured_range")


def test_the_closer_range_wins_and_two_equal_ones_decide_nothing(cast: Cast, now: datetime) -> None:
    lab = laboratory(cast.clinic)
    with_range(lab, cast, now, sex="", high=Decimal(100))
    with_range(lab, cast, now)
    send_one(now, Obx("35", range=""))
    assert one().state == "HIGH"
    with_range(lab, cast, now, high=Decimal(99))
    send_one(now, Obx("35", range=""), filler="FL2")
    assert one(report__filler_key="F:FL2^").state == "NO_RANGE"


def test_the_range_of_the_message_comes_before_the_configured_one(
    cast: Cast, now: datetime
) -> None:
    with_range(laboratory(cast.clinic), cast, now)
    send_one(now, Obx("35"))
    assert (one().state, one().basis) == ("IN_RANGE", "lab_range")


def test_a_decimal_comma_is_read_only_where_the_laboratory_writes_it(
    cast: Cast, now: datetime
) -> None:
    laboratory(cast.clinic)
    laboratory(cast.clinic, key="commalab", decimal_comma=True)
    calcium = Obx("2,9", code="17861-6", name="Ca", unit="mmol/L", range="2,15-2,55")
    send(oru(Obr([calcium])), now)
    send(oru(Obr([calcium]), facility="COMMALAB"), now)
    assert one(laboratory__key="mainlab").state == "NON_NUMERIC"
    row = one(laboratory__key="commalab")
    assert (row.state, row.value_low, row.range_high) == ("HIGH", Decimal("2.9"), Decimal("2.55"))


def test_a_units_spelling_of_one_laboratory_is_known_there_only(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    laboratory(cast.clinic, key="aliaslab", unit_aliases={"Einheiten": "U/L"})
    assert send(oru(Obr([Obx("55", unit="Einheiten")])), now).reasons == ("unknown-unit",)
    assert send(oru(Obr([Obx("55", unit="Einheiten")]), facility="ALIASLAB"), now).reasons == ()
    assert one().unit_ucum == "U/L"


@pytest.mark.parametrize(
    ("meaning", "state", "urgency"),
    [(None, "OFF_SCALE_HIGH", "EMERGENCY"), (True, "CRITICAL_HIGH", "EMERGENCY")],
)
def test_off_scale_flags_mean_what_the_laboratory_confirmed(
    cast: Cast, now: datetime, meaning: bool | None, state: str, urgency: str
) -> None:
    laboratory(cast.clinic, off_scale_means_panic=meaning)
    send_one(now, Obx("300", flag=">"))
    assert one().state == state
    assert urgencies() == {"liver": urgency}


def test_a_laboratorys_own_flag_has_its_own_meaning(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic, flag_meanings={"C": "CRITICAL"})
    send_one(now, Obx("300", flag="C"))
    assert one().state in {"CRITICAL", "CRITICAL_HIGH"}
    assert urgencies() == {"liver": "EMERGENCY"}


def test_flag_and_range_that_disagree_show_the_worse_and_ask_a_person(
    cast: Cast, now: datetime
) -> None:
    laboratory(cast.clinic)
    send_one(now, Obx("31", flag="H"), Obx("55", sub_id="2", flag="N"))
    by_value = {row.value_text: row for row in results()}
    assert (by_value["31"].state, by_value["31"].computed_state) == ("HIGH", "IN_RANGE")
    assert (by_value["55"].state, by_value["55"].flag_state) == ("HIGH", "IN_RANGE")
    assert all(row.discrepancy for row in results())
    assert queue() == {"discrepancy"}


@pytest.mark.parametrize(
    ("line", "state", "reason"),
    [
        ({"unit": ""}, "UNKNOWN_UNIT", "unit-missing"),
        ({"unit": "g/L"}, "UNIT_MISMATCH", "unit-mismatch"),
        ({"flag": "??"}, "NEEDS_REVIEW", "flag-unknown"),
        ({"range": "40-10"}, "NO_RANGE", "range-unreadable"),
        ({"at": "00010101"}, "IN_RANGE", "time-year"),
        ({"at": "20270101"}, "IN_RANGE", "time-future"),
    ],
)
def test_what_cannot_be_judged_is_filed_and_queued(
    cast: Cast, now: datetime, line: dict[str, str], state: str, reason: str
) -> None:
    laboratory(cast.clinic)
    assert send_one(now, Obx("31", **line)).disposition == "stored"
    assert one().state == state
    assert queue() == {reason}
    if line.get("at"):
        assert (one().effective_basis, one().effective_at.year) == ("collected", 2026)


def test_another_unit_family_than_before_is_a_mismatch(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    send_one(now, Obx("9.5", **CALCIUM))
    send_one(
        now,
        Obx("2.4", code="17861-6", name="Ca", unit="mmol/L", range="2.15-2.55"),
        filler="FL2",
    )
    assert one(report__filler_key="F:FL2^").state == "UNIT_MISMATCH"


def test_a_result_that_the_laboratory_holds_is_for_staff_only(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic, flag_meanings={"Q": "HELD"})
    send_one(now, Obx("31", flag="Q"))
    row = one()
    assert (row.state, row.visible_from) == ("HELD", None)


def test_critical_lines_that_could_not_be_filed_are_told_at_once(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    send_one(now, Obx("900", code="XYZ", system="L", flag="HH"))
    assert results() == []
    assert urgencies() == {"results": "EMERGENCY"}


@pytest.mark.parametrize(("value", "raised"), [("10.2", {}), ("10.3", {"calcium": "SAME_DAY"})])
def test_calcium_above_range_is_looked_at_the_same_day(
    cast: Cast, now: datetime, value: str, raised: dict[str, str]
) -> None:
    laboratory(cast.clinic)
    send_one(now, Obx(value, **CALCIUM))
    assert urgencies() == raised


@pytest.mark.parametrize(
    ("alt", "bilirubin", "raised"),
    [("120", "2.5", True), ("119", "2.5", False), ("120", "2.4", False)],
)
def test_possible_hys_law_across_two_messages(
    cast: Cast, now: datetime, alt: str, bilirubin: str, raised: bool
) -> None:
    laboratory(cast.clinic)
    send_one(now, Obx(alt))
    send_one(now, Obx(bilirubin, **BILIRUBIN), filler="FL2", collected="20261125081500+0100")
    with identity(system("worklist")):
        titles = set(WorkItem.objects.values_list("title", flat=True))
        assert ("Possible Hy's law: review today" in titles) is raised
        if raised:
            rules = Evidence.objects.filter(rule_id="liver.hys_law")
            assert rules.count() == 2


# --- corrected calcium -----------------------------------------------------------------------


def derived() -> list[Observation]:
    return results(origin="derived", withdrawn_at__isnull=True)


def test_inside_the_range_the_derived_value_claims_nothing(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    send_one(now, Obx("8.0", flag="L", **CALCIUM), Obx("2.0", flag="L", **ALBUMIN))
    [row] = derived()
    assert (row.value_low, row.state, row.basis) == (Decimal("9.6"), "NO_RANGE", "none")
    assert one(analyte_key="calcium_total").state == "LOW"


def test_a_corrected_input_makes_a_new_derived_version(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    send_one(now, Obx("10.0", **CALCIUM), Obx("2.5", **ALBUMIN))
    send_one(now, Obx("3.5", status="C", **ALBUMIN), resulted="20261120113000+0100")
    [row] = derived()
    assert (row.version, row.value_low) == (2, Decimal("10.4"))


def test_a_withdrawn_input_retires_the_derived_value(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    send_one(now, Obx("10.0", **CALCIUM), Obx("2.5", **ALBUMIN))
    send_one(now, Obx("2.5", status="D", **ALBUMIN), resulted="20261120113000+0100")
    assert derived() == []
    with identity(system("lab-intake")):
        old = Observation.objects.get(origin="derived")
        assert old.withdrawn_at == old.superseded_at == now


EGFR = {"code": "98979-8", "name": "eGFR", "unit": "mL/min/{1.73_m2}", "range": ">60"}


@pytest.mark.parametrize(
    "lines",
    [
        [Obx("10.0", **CALCIUM)],
        [Obx("10.0", **CALCIUM), Obx("4.1", **ALBUMIN)],
        [Obx("10.0", **CALCIUM), Obx("<2.5", type="ST", **ALBUMIN)],
        [Obx("10.0", **CALCIUM), Obx("2.5", status="P", **ALBUMIN)],
        [Obx("10.0", **CALCIUM), Obx("2.5", **ALBUMIN), Obx("59", **EGFR)],
        [
            Obx("10.0", **CALCIUM),
            Obx("2.5", **ALBUMIN),
            Obx("1.2", code="1995-0", name="Ca ion", unit="mmol/L", range="1.15-1.33"),
        ],
    ],
)
def test_it_is_not_worked_out_where_it_would_mislead(
    cast: Cast, now: datetime, lines: list[Obx]
) -> None:
    laboratory(cast.clinic)
    send_one(now, *lines)
    assert derived() == []


def test_dialysis_in_her_profile_stops_it(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    with identity(system("registration")):
        ProfileFact.objects.create(
            patient=cast.anna, kind="course", code="dialysis", result="present", source="test",
            recorded_at=now,
        )  # fmt: skip
    send_one(now, Obx("10.0", **CALCIUM), Obx("2.5", **ALBUMIN))
    assert derived() == []


def test_processing_again_leaves_the_derived_value_alone(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    answer = send_one(now, Obx("10.0", **CALCIUM), Obx("2.5", **ALBUMIN))
    reprocess(message_id=answer.message_id, actor=cast.lab, now=now + timedelta(hours=1))
    [row] = derived()
    assert row.version == 1


# --- what it costs ---------------------------------------------------------------------------


def statements(now: datetime, lines: int) -> int:
    order = Obr([Obx("31", sub_id=str(n)) for n in range(lines)], filler=f"N{lines}")
    raw = oru(order)
    with CaptureQueriesContext(connection) as queries:
        assert send(raw, now).disposition == "stored"
    ignored = ("SAVEPOINT", "RELEASE", "ROLLBACK")
    return sum(not query["sql"].startswith(ignored) for query in queries)


def test_statements_of_a_message_do_not_grow_with_its_lines(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    small, large = statements(now, 2), statements(now, 60)
    assert small == large
    assert large <= 36


def test_filing_is_audited_once_for_each_patient(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)
    send_one(now, Obx("31"), Obx("33", sub_id="2"))
    rows = {row.id for row in results()}
    with identity(system("housekeeping")):
        event = AuditEvent.objects.get(operation="labs.results.file")
    assert (event.patient_id, set(event.resource_ids)) == (cast.anna.id, rows)
