from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labs.hl7.answers import body_hash, build_ack, classify
from labs.hl7.message import parse

NOW = datetime(2026, 1, 5, 15, 31, tzinfo=UTC)
MSH = "MSH|^~\\&|LIS|MAINLAB|PORTAL|CC|20260105||ORU^R01^ORU_R01|MSG0001|P|2.5.1"
PID, OBR, OBX = "PID|1||7^^^A", "OBR|1||F1|X", "OBX|1|NM|A||5||||||F"


def raw(*lines: str, head: str = MSH, end: str = "\r") -> bytes:
    return end.join([head, *lines, ""]).encode()


def decide(head: str, *lines: str) -> tuple[str, str, tuple[str, ...]]:
    found = classify(raw(*(lines or (PID, OBR, OBX)), head=head))
    return found.ack, found.disposition, found.reasons


def test_plain_message_is_accepted() -> None:
    found = classify(raw(PID, OBR, OBX))
    assert (found.ack, found.disposition, found.reasons) == ("AA", "accept", ())
    assert found.message is not None
    assert found.header.readable
    assert (found.header.sending_application, found.header.sending_facility) == ("LIS", "MAINLAB")
    assert (found.header.receiving_application, found.header.receiving_facility) == ("PORTAL", "CC")
    assert (found.header.control_id, found.header.version, found.header.processing_id) == (
        "MSG0001",
        "2.5.1",
        "P",
    )


@pytest.mark.parametrize("kind", ["ORU^R01", "ORU^R01^ORU_R01", "ORU^R01^ANYTHING", "ORU"])
def test_oru_with_or_without_structure_is_taken(kind: str) -> None:
    assert decide(MSH.replace("ORU^R01^ORU_R01", kind)) == ("AA", "accept", ())


@pytest.mark.parametrize(
    "kind", ["", "ADT^A40", "SIU^S12^SIU_S12", "ORU^R30", "ACK^R01", "oru^r01"]
)
def test_other_types_are_rejected(kind: str) -> None:
    assert decide(MSH.replace("ORU^R01^ORU_R01", kind)) == ("AR", "refused", ("not-oru",))


@pytest.mark.parametrize("version", ["2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.8", "2.8.2"])
def test_supported_versions_are_taken(version: str) -> None:
    assert decide(MSH.replace("2.5.1", version))[0] == "AA"


@pytest.mark.parametrize("version", ["2.2", "2.1", "2.9", "3.0", "2.55", "D", "2"])
def test_other_versions_are_rejected(version: str) -> None:
    assert decide(MSH.replace("2.5.1", version)) == ("AR", "refused", ("unsupported-version",))


def test_version_with_country_is_read_by_its_first_component() -> None:
    assert decide(MSH + "^DEU")[1] == "accept"


def test_missing_version_is_rejected() -> None:
    assert decide(MSH.replace("2.5.1", "")) == ("AR", "refused", ("version-missing",))


@pytest.mark.parametrize("mode", ["T", "D", "N", "V", "1", "p", "D^Not present", "e8ebad"])
def test_anything_but_production_goes_to_the_test_area(mode: str) -> None:
    head = MSH.replace("|P|", f"|{mode}|")
    assert decide(head) == ("AA", "test-area", ("processing-id-not-p",))
    assert decide(head, "NTE|1||no patient at all")[1] == "test-area"


@pytest.mark.parametrize("mode", ["", '""'])
def test_missing_processing_id_is_not_production(mode: str) -> None:
    head = MSH.replace("|P|", f"|{mode}|")
    assert decide(head) == ("AA", "test-area", ("processing-id-missing",))


def test_production_with_processing_mode_is_production() -> None:
    assert decide(MSH.replace("|P|", "|P^T|"))[1] == "accept"


def test_type_and_version_are_judged_before_the_processing_id() -> None:
    head = MSH.replace("|P|", "|T|").replace("ORU^R01^ORU_R01", "ADT^A40").replace("2.5.1", "2.2")
    assert decide(head) == ("AR", "refused", ("not-oru", "unsupported-version"))


def test_content_errors() -> None:
    assert decide(MSH, OBR, OBX) == ("AE", "refused", ("no-pid",))
    assert decide(MSH, OBR, OBX, PID, OBR, OBX) == ("AE", "refused", ("no-pid",))
    assert decide(MSH, PID) == ("AE", "refused", ("nothing-usable",))
    assert decide(MSH, "ZZZ|1") == ("AE", "refused", ("no-pid", "nothing-usable"))


def test_line_faults_do_not_refuse_the_message() -> None:
    assert decide(MSH, PID, OBX) == ("AA", "accept", ())
    assert decide(MSH, PID, OBR) == ("AA", "accept", ())
    assert decide(MSH, PID, OBR, "OBX|1|NM|||5") == ("AA", "accept", ())


def test_observation_limit_is_inclusive() -> None:
    assert decide(MSH, PID, OBR, *[OBX] * 10_000)[1] == "accept"
    assert decide(MSH, PID, OBR, *[OBX] * 10_001) == ("AE", "refused", ("too-many-observations",))


@pytest.mark.parametrize(("junk", "code"), [(b"", "empty"), (b"hello", "msh-unreadable")])
def test_unreadable_bytes_are_an_error(junk: bytes, code: str) -> None:
    found = classify(junk)
    assert (found.ack, found.disposition, found.reasons) == ("AE", "refused", (code,))
    assert found.message is None
    assert not found.header.readable


def test_hash_ignores_line_ends_and_framing_only() -> None:
    one = raw(PID, OBR, OBX)
    same = [raw(PID, OBR, OBX, end="\n"), raw(PID, OBR, OBX, end="\r\n"), b"\x0b" + one + b"\x1c\r"]
    assert {body_hash(other) for other in same} == {body_hash(one)}
    assert body_hash(one.replace(b"||5|", b"||6|")) != body_hash(one)
    assert body_hash(one.replace(b"|A|", b"|a|")) != body_hash(one)


def test_accepting_answer_is_exact() -> None:
    assert build_ack(raw(PID), code="AA", control_id="L1", now=NOW) == (
        b"MSH|^~\\&|PORTAL|CC|LIS|MAINLAB|20260105153100+0000||ACK^R01^ACK|L1|P|2.5.1\r"
        b"MSA|AA|MSG0001\r"
    )


def test_each_reason_becomes_an_error_with_code_and_severity() -> None:
    answer = build_ack(
        raw(PID), code="AE", control_id="L1", now=NOW, reasons=["no-pid", "something-else"]
    )
    assert answer.split(b"\r")[2:] == [
        b"ERR||PID|101^Required field missing^HL70357|E|no-pid^^L",
        b"ERR||MSH|207^Application internal error^HL70357|E|something-else^^L",
        b"",
    ]
    warned = build_ack(raw(PID), code="AA", control_id="L1", now=NOW, reasons=["status-missing"])
    assert b"ERR||OBX^1^11|101^Required field missing^HL70357|W|status-missing^^L\r" in warned


def test_answer_to_unreadable_bytes_is_well_formed() -> None:
    answer = build_ack(b"\x00garbage", code="AE", control_id="L1", now=NOW, reasons=["empty"])
    assert answer == (
        b"MSH|^~\\&|||||20260105153100+0000||ACK^R01^ACK|L1|P|2.5.1\r"
        b"MSA|AE\r"
        b"ERR||MSH|100^Segment sequence error^HL70357|E|empty^^L\r"
    )


def test_answer_speaks_the_delimiters_version_and_charset_of_the_question() -> None:
    head = "MSH#*@!%#LÄB#A!S!B#P#C###ORU*R01#M#P#2.3.1######8859/1"
    answer = build_ack(head.encode("latin-1"), code="AA", control_id="L*1", now=NOW)
    assert answer == (
        b"MSH#*@!%#P#C#L\xc4B#A!S!B#20260105153100+0000##ACK*R01*ACK#L!S!1#P#2.3.1######8859/1\r"
        b"MSA#AA#M\r"
    )


def test_answer_to_an_unsupported_version_is_in_ours() -> None:
    answer = build_ack(raw(head=MSH.replace("2.5.1", "2.2")), code="AR", control_id="L1", now=NOW)
    assert parse(answer).header.field(12) == "2.5.1"


def test_control_id_is_echoed_as_sent_escapes_included() -> None:
    head = MSH.replace("MSG0001", "A\\T\\B^C")
    answer = build_ack(raw(head=head), code="AA", control_id="L1", now=NOW)
    assert parse(answer).segments[1].field(2) == "A\\T\\B^C"


def test_nothing_sent_can_break_out_of_the_answer() -> None:
    head = MSH.replace("MSG0001", "A\x0b\x1c\x07" + "x" * 5000)
    answer = build_ack(raw(head=head), code="AA", control_id="L1", now=NOW)
    assert not any(byte < 0x20 and byte != 0x0D for byte in answer)
    assert len(answer) < 1000


def test_answers_of_one_second_differ_by_their_own_id() -> None:
    answers = [build_ack(raw(), code="AA", control_id=f"L{n}", now=NOW) for n in range(3)]
    assert all(a != b for a, b in pairwise(answers))


@given(st.binary(max_size=200), st.sampled_from([b"", b"MSH|^~\\&|", b"MSH|^~\\&|A|B|C|D|1||"]))
def test_any_bytes_get_a_decision_and_a_readable_answer(junk: bytes, start: bytes) -> None:
    found = classify(start + junk)
    assert (found.ack == "AA") is (found.disposition != "refused")
    assert bool(found.reasons) is (found.disposition != "accept")
    answer = build_ack(
        start + junk, code=found.ack, control_id="L1", now=NOW, reasons=found.reasons
    )
    read = parse(answer)
    assert [segment.name for segment in read.segments] == ["MSH", "MSA"] + ["ERR"] * len(
        found.reasons
    )
    assert read.segments[1].field(1) == found.ack
    assert not any(byte in b"\x0b\x1c\n" for byte in answer)
