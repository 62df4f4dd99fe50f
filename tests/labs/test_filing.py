"""What one message leaves in the record."""

from datetime import datetime
from decimal import Decimal

import pytest

from core.db import identity, system
from core.models import Change, Event
from labs.models import DiagnosticReport, Filing, InboundMessage, IntakeItem, Observation
from tests.cast import Cast
from tests.labs.messages import ALBUMIN, CALCIUM, Obr, Obx, laboratory, oru, send, send_one
from worklist.models import WorkItem

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def lab(cast: Cast) -> None:
    laboratory(cast.clinic)


def results() -> list[Observation]:
    with identity(system("lab-intake")):
        return list(Observation.objects.order_by("position", "origin", "version"))


def test_a_message_becomes_judged_results_with_their_origin(cast: Cast, now: datetime) -> None:
    answer = send_one(
        now,
        Obx("11.8", flag="H", **CALCIUM),
        Obx("2.9", flag="L", **ALBUMIN),
        Obx(">^1000", type="SN", flag="HH"),
    )
    assert (answer.ack_code, answer.disposition, answer.reasons) == ("AA", "stored", ())
    calcium, albumin, alt = [row for row in results() if row.origin == "laboratory"]
    assert (calcium.state, calcium.basis) == ("HIGH", "lab_flag")
    assert (calcium.value_low, calcium.unit_ucum, calcium.value_text) == (
        Decimal("11.8"),
        "mg/dL",
        "11.8",
    )
    assert albumin.state == "LOW"
    assert (alt.state, alt.comparator, alt.value_low, alt.value_high) == (
        "CRITICAL_HIGH",
        ">",
        Decimal(1000),
        None,
    )
    assert {row.patient_id for row in results()} == {cast.anna.id}
    with identity(system("lab-intake")):
        message = InboundMessage.objects.get(id=answer.message_id)
        assert calcium.message_id == message.id
        assert bytes(message.raw).startswith(b"MSH|")
        assert Filing.objects.get(message=message).lines_filed == 3
        report = DiagnosticReport.objects.get()
        assert (report.version, report.status, report.visible_from) == (1, "final", now)
        assert Event.objects.get().payload["report_version"] == 1
        assert Change.objects.filter(resource="Observation").count() == 4
    with identity(system("worklist")):
        assert {item.concern: item.urgency for item in WorkItem.objects.all()} == {
            "liver": "EMERGENCY",
            "calcium": "EMERGENCY",
        }


def test_corrected_calcium_is_a_derived_result_with_its_inputs(now: datetime) -> None:
    send_one(now, Obx("10.0", **CALCIUM), Obx("2.5", flag="L", **ALBUMIN))
    by_key = {row.analyte_key: row for row in results()}
    derived = by_key["calcium_corrected"]
    assert derived.origin == "derived"
    assert derived.value_low == Decimal("11.2")
    assert derived.state == "HIGH"
    assert derived.derived_from == [by_key["calcium_total"].id, by_key["albumin"].id]
    assert by_key["calcium_total"].state == "IN_RANGE"


def test_a_line_fault_is_queued_and_the_others_are_filed(now: datetime) -> None:
    answer = send_one(
        now,
        Obx("31", status=""),
        Obx("32", code="XYZ", system="L"),
        Obx("33", unit="furlong"),
        Obx("34"),
    )
    assert answer.disposition == "stored"
    assert set(answer.reasons) == {"status-missing", "unknown-code", "unknown-unit"}
    assert [row.value_text for row in results()] == ["34"]
    with identity(system("lab-intake")):
        items = {item.reason: item for item in IntakeItem.objects.all()}
        assert set(items) == set(answer.reasons)
        assert bytes(items["unknown-unit"].segment).startswith(b"OBX|3|")
        assert items["unknown-unit"].code == "furlong"
        assert items["unknown-code"].words
        assert items["unknown-code"].action


def test_only_faulty_lines_leave_the_message_queued(now: datetime) -> None:
    answer = send(oru(Obr([Obx("32", code="XYZ", system="L")])), now)
    assert (answer.ack_code, answer.disposition) == ("AA", "queued")
    with identity(system("lab-intake")):
        assert not DiagnosticReport.objects.exists()


# --- what stands after a specimen ------------------------------------------------------------

SPM = "SPM|1|S1||SER"
AFTER = "OBX|9|NM|2823-3^Potassium^LN||{}|mmol/L|3.5-5.1|{}|||F"


def queued() -> list[tuple[str, int | None]]:
    with identity(system("lab-intake")):
        return list(IntakeItem.objects.values_list("reason", "obx_index"))


def test_a_line_about_the_specimen_waits_for_a_person(now: datetime) -> None:
    """HL7 v2.5.1: OBX after SPM is about the specimen. It is no result, and it is not lost."""
    answer = send(oru(Obr([Obx("31")]), SPM, AFTER.format("4.1", "")), now)
    assert (answer.ack_code, answer.disposition) == ("AA", "stored")
    assert answer.reasons == ("specimen-observation",)
    assert [row.value_text for row in results()] == ["31"]
    assert queued() == [("specimen-observation", 2)]
    assert [(line.judged.line.obx_index, line.fate) for line in answer.lines] == [
        (2, "queued"),
        (1, "new"),
    ]
    with identity(system("lab-intake")):
        assert b"2823-3^Potassium" in bytes(IntakeItem.objects.get().segment)
        assert Filing.objects.get().lines_queued == 1


def test_a_sender_that_writes_specimens_first_loses_nothing(now: datetime) -> None:
    answer = send(oru(Obr([]), SPM, AFTER.format("4.1", ""), AFTER.format("4.2", "")), now)
    assert (answer.disposition, answer.reasons) == ("queued", ("specimen-observation",))
    assert queued() == [("specimen-observation", 1), ("specimen-observation", 2)]


def test_a_critical_line_after_a_specimen_is_told_at_once(cast: Cast, now: datetime) -> None:
    send(oru(Obr([Obx("31")]), SPM, AFTER.format("7.4", "HH")), now)
    with identity(system("worklist")):
        item = WorkItem.objects.get()
        assert (item.urgency, item.patient_id) == ("EMERGENCY", cast.anna.id)


def test_a_line_after_a_specimen_of_a_stranger_is_kept_and_told(now: datetime) -> None:
    stranger = "PID|1||7^^^MAINLAB^MR||NOBODY^N||19700101|F"
    answer = send(oru(Obr([]), SPM, AFTER.format("7.4", "HH"), pid=stranger), now)
    assert [line.fate for line in answer.lines] == ["queued"]
    with identity(system("worklist")):
        assert WorkItem.objects.get().concern == "intake.unmatched"


def test_order_detail_after_a_specimen_is_no_doubt(now: datetime) -> None:
    answer = send(oru(Obr([Obx("31")]), SPM, AFTER.format("4.1", "")[:-1] + "O"), now)
    assert answer.reasons == ()
    assert queued() == []
