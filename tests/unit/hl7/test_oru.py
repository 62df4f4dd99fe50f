"""The structural traps of real laboratory messages, each in a small invented message."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.hl7.message import parse
from labs.hl7.oru import (
    EntityId,
    Identifier,
    ObservationLine,
    OruMessage,
    identity_gaps,
    join_notes,
    read_oru,
)

ZONE = ZoneInfo("Europe/Berlin")
MSH = "MSH|^~\\&|LIS|MAINLAB|PORTAL|CC|20260105103000-0500||ORU^R01^ORU_R01|MSG0001|P|2.5.1"
PID = "PID|1||900001^^^MAINLAB^MR||TEST^ANNA||19700101|F"
OBR = (
    "OBR|1|PL1^EHR|FL1^LIS|24323-8^CMP^LN|||20260105081500|||||||20260105090000||||||||2026010510"
    "||CH|F"
)
CALCIUM = "OBX|1|NM|17861-6^Calcium^LN||11.8|mg/dL^^UCUM|8.6-10.2|H|||F|||20260105081500-0500"


def read(*lines: str, now: datetime | None = None) -> OruMessage:
    raw = "\r".join([MSH, *lines, ""]).encode()
    return read_oru(parse(raw), zone=ZONE, now=now)


def only_line(*lines: str) -> ObservationLine:
    (report,) = read(*lines).reports
    (line,) = report.observations
    return line


def test_facts_of_a_plain_message() -> None:
    found = read(PID, OBR, CALCIUM)
    assert (found.control_id, found.version, found.processing_id) == ("MSG0001", "2.5.1", "P")
    assert (found.sending_application, found.sending_facility) == ("LIS", "MAINLAB")
    assert (found.receiving_application, found.receiving_facility) == ("PORTAL", "CC")
    assert found.message_type == "ORU^R01"
    assert found.message_at.instant == datetime(2026, 1, 5, 15, 30, tzinfo=UTC)
    (group,) = found.groups
    pid = group.pid
    assert pid is not None
    assert pid.identifiers == (Identifier("900001", "MAINLAB", "MR"),)
    assert (pid.family, pid.given, pid.birth_date, pid.sex) == (
        "TEST",
        "ANNA",
        date(1970, 1, 1),
        "F",
    )
    (report,) = group.reports
    assert (report.placer, report.filler) == (EntityId("PL1", "EHR"), EntityId("FL1", "LIS"))
    assert (report.code.code, report.category, report.status) == ("24323-8", "CH", "F")
    assert report.collected_at.instant == datetime(2026, 1, 5, 7, 15, tzinfo=UTC)
    assert report.received_at.instant == datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
    assert report.result_at.instant == datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
    assert report.faults == ()
    (line,) = report.observations
    assert (line.value_type, line.values, line.unit_text, line.unit_system) == (
        "NM",
        ("11.8",),
        "mg/dL",
        "UCUM",
    )
    assert (line.range_text, line.flags, line.status) == ("8.6-10.2", ("H",), "F")
    assert line.observed_at.instant == datetime(2026, 1, 5, 13, 15, tzinfo=UTC)
    assert line.loinc is not None
    assert line.loinc.code == "17861-6"
    assert line.faults == ()
    assert line.raw_segment == CALCIUM


def test_five_patients_in_one_message_stay_apart() -> None:
    lines = []
    for n in range(1, 6):
        lines += [PID.replace("900001", f"90000{n}"), OBR, CALCIUM.replace("11.8", str(n))]
    found = read(*lines)
    assert [g.pid.identifiers[0].value for g in found.groups if g.pid] == [
        f"90000{n}" for n in range(1, 6)
    ]
    assert [g.reports[0].observations[0].values for g in found.groups] == [
        (str(n),) for n in range(1, 6)
    ]
    assert [r.observations[0].obx_index for r in found.reports] == [1, 2, 3, 4, 5]
    assert [r.position for r in found.reports] == [1, 2, 3, 4, 5]


def test_several_reports_keep_their_own_lines() -> None:
    found = read(PID, OBR, CALCIUM, CALCIUM, OBR.replace("FL1", "FL2"), CALCIUM)
    assert [(r.filler.value, len(r.observations)) for r in found.reports] == [
        ("FL1", 2),
        ("FL2", 1),
    ]
    assert found.observation_count == 3


def test_set_id_is_no_key() -> None:
    (report,) = read(PID, OBR, CALCIUM, CALCIUM.replace("11.8", "12.0")).reports
    assert [(x.set_id, x.obx_index) for x in report.observations] == [("1", 1), ("1", 2)]


def test_order_segment_before_or_after_obr_supplies_missing_numbers() -> None:
    orc = "ORC|RE|P9^EHR|F9^LIS"
    bare = "OBR|1|||24323-8^CMP^LN"
    for order in ([orc, bare, CALCIUM], [bare, orc, CALCIUM]):
        (report,) = read(PID, *order).reports
        assert (report.placer.value, report.filler.value) == ("P9", "F9")
    (report,) = read(PID, orc, OBR, CALCIUM).reports
    assert (report.placer.value, report.filler.value) == ("PL1", "FL1")


def test_order_segment_of_the_next_report_does_not_touch_the_one_before() -> None:
    bare = "OBR|1|||24323-8^CMP^LN"
    found = read(PID, bare, CALCIUM, "ORC|RE|P2|F2", bare, CALCIUM)
    assert [r.filler.value for r in found.reports] == ["", "F2"]


def test_order_segment_does_not_cross_to_another_patient() -> None:
    bare = "OBR|1|||24323-8^CMP^LN"
    found = read(PID, OBR, CALCIUM, "ORC|RE|P2|F2", PID, bare, CALCIUM)
    assert [r.filler.value for r in found.reports] == ["FL1", ""]


def test_notes_bind_to_the_segment_they_follow() -> None:
    found = read(
        "NTE|1||message",
        PID,
        "NTE|1||patient",
        "ORC|RE",
        "NTE|1||order",
        OBR,
        "NTE|1||report",
        CALCIUM,
        "NTE|1||line one",
        "NTE|2||line two",
        CALCIUM,
        "SPM|1|||BLD",
        "NTE|1||specimen",
    )
    (group,) = found.groups
    (report,) = group.reports
    assert found.notes == ("message",)
    assert group.notes == ("patient",)
    assert report.notes == ("order", "report")
    assert [x.notes for x in report.observations] == [("line one", "line two"), ()]
    assert report.specimens[0].notes == ("specimen",)


def test_note_wrapped_mid_word_is_joined_as_given() -> None:
    line = only_line(PID, OBR, CALCIUM, "NTE|1||  Probe haemoly", "NTE|2||tisch.~Bitte\\.br\\neu")
    assert line.notes == ("  Probe haemoly", "tisch.", "Bitte\nneu")
    assert join_notes(line.notes) == "  Probe haemoly\ntisch.\nBitte\nneu"


def test_empty_note_line_stays_a_line() -> None:
    assert only_line(PID, OBR, CALCIUM, "NTE|1||a", "NTE|2||", "NTE|3||b").notes == ("a", "", "b")


def test_obx_after_spm_belongs_to_the_specimen() -> None:
    spm = (
        "SPM|1|P1&EHR^S1&LIS||BLD^Blood^HL70487|||||||||||||20260105080000|20260105090000"
        "|||CL^Clotted"
    )
    (report,) = read(PID, OBR, CALCIUM, spm, CALCIUM.replace("11.8", "99"), "NTE|1||n").reports
    assert [x.values for x in report.observations] == [("11.8",)]
    specimen = report.specimen
    assert specimen is not None
    assert [x.values for x in specimen.observations] == [("99",)]
    assert specimen.observations[0].obx_index == 2
    assert specimen.observations[0].notes == ("n",)
    assert (specimen.type.code, specimen.identifier) == ("BLD", EntityId("S1", "LIS"))
    assert specimen.collected_at.instant == datetime(2026, 1, 5, 7, 0, tzinfo=UTC)
    assert specimen.received_at.instant == datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
    assert specimen.reject_reason.code == "CL"


def test_new_report_after_a_specimen_has_its_own_results() -> None:
    found = read(PID, OBR, CALCIUM, "SPM|1|||BLD", OBR, CALCIUM)
    assert [len(r.observations) for r in found.reports] == [1, 1]


def test_old_specimen_source_field_is_read() -> None:
    obr = "OBR|1||FL1|X^Y^L" + "|" * 11 + "UR&Urine&HL70070^^Mid"
    (report,) = read(PID, obr, CALCIUM).reports
    assert report.specimen is not None
    assert (report.specimen.type.code, report.specimen.type.text) == ("UR", "Urine")


def test_the_site_of_a_specimen_is_read_from_either_segment() -> None:
    spm = "SPM|1|S1||TISS^Tissue^HL70487||||10200004^Liver structure^SCT"
    obr = "OBR|1||FL1|X^Y^L" + "|" * 11 + "TISS&Tissue^^^LIV&Liver"
    for segments in ((PID, OBR, CALCIUM, spm), (PID, obr, CALCIUM)):
        (report,) = read(*segments).reports
        assert report.specimen is not None
        assert (report.specimen.type.text, report.specimen.body_site.text[:5]) == (
            "Tissue", "Liver",
        )  # fmt: skip


def test_cancelled_order_without_lines_is_a_report() -> None:
    (report,) = read(PID, OBR.removesuffix("F") + "X", "SPM|1|||BLD").reports
    assert (report.status, report.observations, report.faults) == ("X", (), ())


def test_line_without_report_is_a_fault_not_a_crash() -> None:
    line = only_line(PID, CALCIUM)
    assert line.faults == ("no-obr",)
    (report,) = read(PID, CALCIUM).reports
    assert (report.faults, report.position, report.raw_segment) == (("no-obr",), 0, "")
    assert report.collected_at.instant is None


def test_specimen_without_report_does_not_crash() -> None:
    (report,) = read(PID, "SPM|1|||BLD").reports
    assert report.faults == ("no-obr",)


def test_results_without_patient_form_a_group_without_identity() -> None:
    (group,) = read(OBR, CALCIUM).groups
    assert group.pid is None
    assert len(group.reports) == 1


def test_report_of_the_patient_before_does_not_leak_to_the_next() -> None:
    found = read(PID, OBR, CALCIUM, PID.replace("900001", "900002"), CALCIUM)
    assert found.groups[1].reports[0].observations[0].faults == ("no-obr",)
    assert len(found.groups[0].reports[0].observations) == 1


@pytest.mark.parametrize(
    ("status", "faults"),
    [
        ("F", ()),
        ("W", ()),
        ("I", ()),
        ("", ("status-missing",)),
        ('""', ("status-missing",)),
        ("Q", ("status-unknown",)),
        ("FINAL", ("status-unknown",)),
        ("f", ("status-unknown",)),
    ],
)
def test_status_is_never_defaulted(status: str, faults: tuple[str, ...]) -> None:
    line = only_line(PID, OBR, f"OBX|1|NM|17861-6^Calcium^LN||11.8|mg/dL|||||{status}")
    assert line.faults == faults
    assert line.status == ("" if "status-missing" in faults else status)


def test_unknown_report_status_and_missing_panel_are_marked() -> None:
    (report,) = read(PID, "OBR|1||FL1|" + "|" * 20 + "|Q", CALCIUM).reports
    assert report.faults == ("report-code-missing", "report-status-unknown")


def test_missing_code_is_a_line_fault() -> None:
    assert only_line(PID, OBR, "OBX|1|NM|||5||||||F").faults == ("code-missing",)


def test_loinc_in_the_alternate_triplet_is_found() -> None:
    line = only_line(PID, OBR, "OBX|1|NM|CA^Ca^LOCAL^17861-6^Calcium^LN||9||||||F")
    assert line.loinc is not None
    assert (line.loinc.code, line.loinc.place) == ("17861-6", "alternate")


def test_wrong_check_digit_of_a_stated_loinc_is_a_line_fault() -> None:
    line = only_line(PID, OBR, "OBX|1|NM|17861-7^Calcium^LN||9||||||F")
    assert (line.loinc, line.faults) == (None, ("loinc-check-digit",))


def test_two_values_of_one_analyte_are_two_lines_with_sub_ids() -> None:
    (report,) = read(
        PID,
        OBR,
        "OBX|1|NM|1751-7^Albumin^LN|1|2.9|g/dL|||||F",
        "OBX|2|NM|1751-7^Albumin^LN|2|3.4|g/dL|||||F",
    ).reports
    assert [(x.sub_id, x.values) for x in report.observations] == [("1", ("2.9",)), ("2", ("3.4",))]


def test_repeating_values_flags_and_components_are_kept() -> None:
    line = only_line(PID, OBR, "OBX|1|SN|1742-6^ALT^LN||>^1000~^5^-^10|U/L||H~U|||F")
    assert line.values == (">^1000", "^5^-^10")
    assert line.components == ((">", "1000"), ("", "5", "-", "10"))
    assert line.flags == ("H", "U")


def test_text_value_is_unescaped_and_raw_is_kept() -> None:
    line = only_line(PID, OBR, "OBX|1|FT|X^Y^L||a\\F\\b\\.br\\C:\\x||||||F")
    assert line.values == ("a\\F\\b\\.br\\C:\\x",)
    assert line.texts == ("a|b\nC:\\x",)


def test_delete_and_not_sent_differ() -> None:
    deleted = only_line(PID, OBR, 'OBX|1|NM|17861-6^Ca^LN||""|mg/dL|||||F')
    absent = only_line(PID, OBR, "OBX|1|NM|17861-6^Ca^LN|||mg/dL|||||F")
    assert deleted.value_deleted
    assert not absent.value_deleted
    assert absent.values == ()


def test_odd_flags_and_interim_words_pass_through_untouched() -> None:
    for flag in ("C", "*", "NA", "null"):
        line = only_line(PID, OBR, f"OBX|1|ST|17861-6^Ca^LN||folgt|||{flag}|||I")
        assert (line.flags, line.values, line.status) == ((flag,), ("folgt",), "I")


def test_range_text_is_kept_as_sent() -> None:
    for text in ("(8.6 - 10.2)", "< 5", "siehe Text", "     <  2.3"):
        assert only_line(PID, OBR, f"OBX|1|NM|A^B^L||5||{text}||||F").range_text == text


def test_performing_laboratory_and_method_are_read() -> None:
    base = (
        "OBX|1|NM|1751-7^Albumin^LN||2.9|g/dL|||||F||||{}||BCG^Bromocresol green^L||20260105||||{}"
    )
    assert only_line(PID, OBR, base.format("L1^Lab One", "")).performing_lab == "Lab One"
    assert only_line(PID, OBR, base.format("L1", "")).performing_lab == "L1"
    line = only_line(PID, OBR, base.format("L1^Lab One", "Lab Two^L"))
    assert line.performing_lab == "Lab Two"
    assert line.method.code == "BCG"
    assert line.analysed_at.instant == datetime(2026, 1, 4, 23, 0, tzinfo=UTC)


def test_future_times_are_marked_against_the_given_clock() -> None:
    found = read(PID, OBR, CALCIUM, now=datetime(2026, 1, 1, tzinfo=UTC))
    (report,) = found.reports
    assert report.collected_at.faults == ("time-future",)


def gaps(pid: str, **settings: str) -> tuple[str, ...]:
    found = read(pid, OBR).groups[0].pid
    assert found is not None
    return identity_gaps(found, **settings)


@pytest.mark.parametrize(
    ("pid", "missing"),
    [
        (PID, ()),
        ("PID|1||7^^^&1.2.3&ISO^MR||T^A||19700101", ()),
        ("PID|1||0^^^A~7^^^A||T^A||19700101", ()),
        ("PID|1||7||T^A||19700101", ("pid-authority-missing",)),
        ("PID|1||7^^^&&ISO||T^A||19700101", ("pid-authority-missing",)),
        ("PID|1||0^^^A||T^A||19700101", ("pid-identifier-missing",)),
        ("PID|1||000||T^A||19700101", ("pid-identifier-missing",)),
        ('PID|1||""^^^A||T^A||19700101', ("pid-identifier-missing",)),
        ("PID|1||7^^^A||^A||19700101", ("pid-name-missing",)),
        ('PID|1||7^^^A||""||19700101', ("pid-name-missing",)),
        ("PID|1||7^^^A||~^^^^^^S||19700101", ("pid-name-missing",)),
        ("PID|1||7^^^A||T^A||1970", ("pid-birth-date-missing",)),
        ("PID|1||7^^^A||T^A||Aug 15, 1942", ("pid-birth-date-missing",)),
        (
            "PID|1",
            ("pid-identifier-missing", "pid-name-missing", "pid-birth-date-missing"),
        ),
    ],
)
def test_identity_gaps_are_named(pid: str, missing: tuple[str, ...]) -> None:
    assert gaps(pid) == missing


def test_zero_identifier_with_authority_does_not_lend_it_to_another() -> None:
    assert gaps("PID|1||0^^^A~7||T^A||19700101") == ("pid-authority-missing",)


def test_sender_setting_supplies_the_authority_only() -> None:
    assert gaps("PID|1||7||T^A||19700101", default_authority="LAB") == ()
    assert gaps("PID|1||||T^A||19700101", default_authority="LAB") == ("pid-identifier-missing",)


def test_family_name_with_subcomponents_is_the_surname() -> None:
    found = read("PID|1||7^^^A||van Beek&van&Beek^ANNA||19700101").groups[0].pid
    assert found is not None
    assert found.family == "van Beek"


NAMES = st.sampled_from(["PID", "ORC", "OBR", "OBX", "NTE", "SPM", "PV1", "TQ1", "ZZZ"])
FIELDS = st.lists(st.text('|^~\\&"0123456789ABF-.<> \n', max_size=12), max_size=26)


@given(st.lists(st.tuples(NAMES, FIELDS), max_size=12))
def test_any_order_of_segments_is_read_and_every_line_survives(
    segments: list[tuple[str, list[str]]],
) -> None:
    lines = [f"{name}|{'|'.join(fields)}".replace("\n", "") for name, fields in segments]
    found = read(*lines, now=datetime(2026, 1, 5, tzinfo=UTC))
    seen = [line.obx_index for r in found.reports for line in r.observations]
    seen += [x.obx_index for r in found.reports for s in r.specimens for x in s.observations]
    assert sorted(seen) == list(range(1, sum(n == "OBX" for n, _ in segments) + 1))
    assert sum(r.position > 0 for r in found.reports) == sum(n == "OBR" for n, _ in segments)
