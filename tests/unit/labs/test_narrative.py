"""Texts that come line by line are whole texts again; parts of their own stay apart."""

from zoneinfo import ZoneInfo

import pytest

from labs.hl7.message import parse
from labs.hl7.oru import ObservationLine, read_oru
from labs.narrative import with_whole_texts

HEAD = (
    "MSH|^~\\&|LIS|LAB|PORTAL|CC|20261120||ORU^R01|1|P|2.5.1\r"
    "PID|1||900001^^^MAINLAB||TESTMANN^ANNA||19700101|F\r"
    "OBR|1||FL1|11529-5^Surgical pathology^LN|||||||||||||||||||||F\r"
)
CODE = "22637-3^Diagnosis^LN"


def read(*segments: str) -> list[ObservationLine]:
    raw = (HEAD + "\r".join(segments) + "\r").encode()
    message = with_whole_texts(read_oru(parse(raw), zone=ZoneInfo("Europe/Berlin")))
    return [line for report in message.reports for line in report.observations]


def obx(index: int, text: str, sub: str = "", code: str = CODE, kind: str = "TX", **more: str):
    flag, status = more.get("flag", ""), more.get("status", "F")
    return f"OBX|{index}|{kind}|{code}|{sub}|{text}||{more.get('range', '')}|{flag}|||{status}"


@pytest.mark.parametrize("subs", [("", "", ""), ("1", "2", "3"), ("A", "A", "A")])
@pytest.mark.parametrize("kind", ["TX", "FT"])
def test_lines_of_one_text_are_joined_in_order(subs: tuple[str, ...], kind: str) -> None:
    texts = ("Invasive carcinoma.", "Grade 2.", "Margins free.")
    segments = [obx(n + 1, texts[n], subs[n], kind=kind) for n in range(3)]
    (line,) = read(*segments)
    assert line.texts == texts
    assert line.obx_index == 1
    assert line.raw_segment.count("OBX|") == 3


def test_specimens_stay_apart() -> None:
    lines = read(obx(1, "Left", "A"), obx(2, "breast", "A"), obx(3, "Node", "B"))
    assert [line.texts for line in lines] == [("Left", "breast"), ("Node",)]
    assert [line.sub_id for line in lines] == ["A", "B"]


def test_another_section_between_keeps_the_order() -> None:
    other = "22634-0^Gross^LN"
    lines = read(obx(1, "a"), obx(2, "b", code=other), obx(3, "c"))
    assert [line.texts for line in lines] == [("a",), ("b",), ("c",)]


@pytest.mark.parametrize(
    "second",
    [
        obx(2, "b", status="P"),
        obx(2, "b", flag="A"),
        obx(2, "b", range="neg"),
        obx(2, "b", kind="ST"),
        obx(2, "5", kind="NM"),
        obx(2, ""),
    ],
)
def test_what_is_more_than_plain_text_is_never_joined(second: str) -> None:
    assert len(read(obx(1, "a"), second)) == 2


def test_repetitions_stay_in_their_place() -> None:
    (line,) = read(obx(1, "a~b", "1"), obx(2, "c", "2"))
    assert line.texts == ("a", "b", "c")
    assert line.sub_id == ""


def test_counting_that_leaves_a_number_out_is_no_counting() -> None:
    assert len(read(obx(1, "a", "1"), obx(2, "b", "3"))) == 2
