"""Every sample message: field by field against hl7kit, and against the recorded facts."""

import json
import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import hl7kit
import pytest

from labs.hl7.answers import body_hash, build_ack, classify
from labs.hl7.message import Message, Segment, parse, split_messages
from labs.hl7.mllp import Frame, FrameDecoder, encode
from labs.hl7.oru import OruMessage, identity_gaps, read_oru
from tests.unit.hl7.samples import HL7V2, golden_rows, needs_samples, noise_files, sample_files

pytestmark = needs_samples
ZONE = ZoneInfo("Europe/Zurich")
NOW = datetime(2026, 1, 5, tzinfo=UTC)
FILES = [pytest.param(path, id=path.name) for path in sample_files()]

# What hl7kit leaves in the text and we resolve. It reads \F\ \S\ \T\ \R\ \E\ itself.
FORMATTING = re.compile(r"\\(\.[a-z]{2} ?[+-]?\d*|X[0-9A-F]+|[HN]|[CM][0-9A-F]{4,6})\\")


def record_of(path: Path) -> Path:
    return HL7V2 / "expected" / f"{path.stem}.json"


def messages(path: Path) -> list[bytes]:
    return split_messages(path.read_bytes())


def resolved(text: str) -> str:
    def meaning(match: re.Match[str]) -> str:
        body = match[1]
        if body.startswith("X"):
            return bytes.fromhex(body[1:]).decode()
        return "\n" if body[:3] in {".br", ".sp", ".ce"} else ""

    return FORMATTING.sub(meaning, text)


def differences(message: Message, oracle: hl7kit.Message) -> list[str]:
    """Compare every repetition, component and subcomponent of every field."""
    wrong, nth = [], Counter[str]()
    for segment in message.segments:
        nth[segment.name] += 1
        for number in range(1, len(segment) + 1):
            place = f"{segment.name}[{nth[segment.name]}]-{number}"
            wrong += compare_field(segment, number, place, oracle)
    return wrong


def compare_field(segment: Segment, number: int, place: str, oracle: hl7kit.Message) -> list[str]:
    pairs = [(place, segment.text(number))]
    if segment.name != "MSH" or number > 2:
        marks = segment.marks
        for r, rep in enumerate(segment.repetitions(number), start=1):
            for c, component in enumerate(rep.split(marks.component), start=1):
                path = f"{place}[{r}].{c}"
                pairs.append((path, segment.component(number, c, rep=r)))
                for s in range(1, component.count(marks.subcomponent) + 2):
                    pairs.append((f"{path}.{s}", segment.component(number, c, s, rep=r)))
    # Deliberate: the oracle trims blanks at the end of a segment; we keep what was sent.
    blank = number == len(segment) and not segment.field(number).strip()
    return [path for path, ours in pairs if ours != resolved(oracle.get(path) or "") and not blank]


@pytest.mark.parametrize("path", FILES)
def test_every_field_equals_the_oracle(path: Path) -> None:
    for raw in messages(path):
        ours = parse(raw)
        if "encoding-characters-invalid" in ours.warnings:
            # Deliberate: with MSH-2 "&&&&" the oracle cuts every field at "&"; we fall back to
            # the standard characters, which is what the sender really used.
            assert path.name == "data-exchange-hl7__Lyme_WithBadDelimiters.hl7"
            assert hl7kit.parse(raw)["MSH-9"] == ours.header.field(9) == "ORU^R01^ORU_R01"
            raw = raw.replace(b"|&&&&|", b"|^~\\&|", 1)
            ours = parse(raw)
            assert ours.warnings == ()
        oracle = hl7kit.parse("\r".join(segment.raw for segment in ours.segments))
        assert [segment.name for segment in ours.segments] == oracle.segments()
        assert differences(ours, oracle) == []


def test_escapes_that_the_oracle_leaves_alone_do_occur_in_the_samples() -> None:
    seen = Counter(
        match[1][:3] if match[1].startswith(".") else match[1][:1]
        for path in sample_files()
        for raw in messages(path)
        for segment in parse(raw).segments[1:]
        for match in FORMATTING.finditer(segment.raw)
    )
    assert {".br", ".sp", ".ce", ".in", ".fi", ".nf", "X", "H", "N", "C", "M"} <= set(seen)


def observation_facts(found: OruMessage) -> list[tuple[str, ...]]:
    lines = [x for r in found.reports for x in r.observations]
    lines += [x for r in found.reports for s in r.specimens for x in s.observations]
    lines.sort(key=lambda line: line.obx_index)
    facts = []
    for line in lines:
        fields = line.raw_segment.split("|") + [""] * 12
        assert (line.set_id, line.value_type, line.status) == (fields[1], fields[2], fields[11])
        assert "~".join(line.values) == fields[5]
        facts.append((fields[1], line.value_type, fields[3], fields[5], fields[7], line.status))
    return facts


def test_only_scheduling_and_result_free_files_have_no_recorded_facts() -> None:
    bare = [path for path in sample_files() if not record_of(path).exists()]
    kinds = Counter(classify(raw).header.message_type for path in bare for raw in messages(path))
    assert kinds == {"SIU^S12": 1, "SIU^S13": 1, "SIU^S15": 1, "ORU^R01": 7}


@pytest.mark.parametrize("path", [p for p in FILES if record_of(p.values[0]).exists()])
def test_observations_equal_the_recorded_facts(path: Path) -> None:
    expected = json.loads(record_of(path).read_text(encoding="utf-8"))
    raws = [raw for raw in messages(path) if parse(raw).header.component(9) == "ORU"]
    facts = [observation_facts(read_oru(parse(raw), zone=ZONE)) for raw in raws]
    assert len(messages(path)) == expected["n_messages"]
    assert sum(map(len, facts)) == expected["n_obx"]
    remaining = iter([fact for message in facts for fact in message])
    for want in expected["obx"]:
        wanted = tuple(want[key] for key in ("obx1", "obx2", "obx3", "obx5", "obx7", "obx11"))
        assert any(matches(fact, wanted) for fact in remaining), (path.name, want["obx1"])


def matches(fact: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    """The record cuts the code at 60 and value and range at 40 characters."""
    limits = (None, None, 60, 40, 40, None)
    return all(
        got[:limit].strip() == want.strip()
        for got, want, limit in zip(fact, wanted, limits, strict=True)
    )


@pytest.mark.parametrize("path", FILES)
def test_decision_agrees_with_the_golden_dispositions(path: Path) -> None:
    rows = [row for row in golden_rows() if row["file"] == path.name]
    raws = messages(path)
    assert [row["message"] for row in rows] == [str(n) for n in range(1, len(raws) + 1)]
    for row, raw in zip(rows, raws, strict=True):
        found = classify(raw)
        assert found.ack == row["ack"]
        if row["disposition"] in {"refused", "test-area"}:
            assert found.disposition == row["disposition"]
            assert ";".join(found.reasons) == row["reasons"]
        else:
            assert found.disposition == "accept"
        answer = parse(build_ack(raw, code=found.ack, control_id="1", now=NOW))
        assert answer.segments[1].field(2) == parse(raw).header.field(10)


def test_identity_gaps_agree_with_the_golden_dispositions() -> None:
    raws = {path.name: messages(path) for path in sample_files()}
    checked = 0
    for row in golden_rows():
        if row["reasons"] != "unknown-patient" and not row["reasons"].startswith("pid-"):
            continue
        found = read_oru(parse(raws[row["file"]][int(row["message"]) - 1]), zone=ZONE)
        gaps = {gap for group in found.groups if group.pid for gap in identity_gaps(group.pid)}
        expected = {reason for reason in row["reasons"].split(";") if reason.startswith("pid-")}
        assert gaps == expected, row["file"]
        checked += 1
    assert checked > 30


def test_reused_and_repeated_control_ids_agree_with_the_golden_dispositions() -> None:
    seen: dict[tuple[str, str, str], set[str]] = {}
    found = {}
    for path in sample_files():
        for number, raw in enumerate(messages(path), start=1):
            intake = classify(raw)
            head, digest = intake.header, body_hash(raw)
            key = (head.sending_application, head.sending_facility, head.control_id)
            if intake.disposition == "accept" and seen.get(key):
                known = digest in seen[key]
                found[(path.name, str(number))] = "duplicate" if known else "control-id-reused"
            seen.setdefault(key, set()).add(digest)
    golden = {}
    for row in golden_rows():
        if row["disposition"] == "duplicate" or row["reasons"] == "control-id-reused":
            golden[(row["file"], row["message"])] = row["reasons"] or row["disposition"]
    assert found == golden


def test_golden_dispositions_cover_every_file_in_the_order_of_the_run() -> None:
    named = list(dict.fromkeys(row["file"] for row in golden_rows()))
    assert named == [path.name for path in sample_files()]


def test_mllp_stream_gives_the_messages_it_was_made_of() -> None:
    stream = (HL7V2 / "derived__mllp_stream_6.bin").read_bytes()
    for size in (1, 7, 1024, len(stream)):
        decoder = FrameDecoder()
        frames = [
            item
            for at in range(0, len(stream), size)
            for item in decoder.feed(stream[at : at + size])
        ]
        assert all(isinstance(frame, Frame) for frame in frames)
        payloads = [frame.payload for frame in frames if isinstance(frame, Frame)]
        assert b"".join(map(encode, payloads)) == stream
        assert decoder.close() == []
    assert [parse(payload).header.component(9) for payload in payloads] == ["ORU"] * 6


def test_generated_noise_messages_are_read_or_refused_but_never_crash() -> None:
    files = noise_files()
    assert files
    for path in files:
        for raw in split_messages(path.read_bytes()):
            classify(raw)
            read_oru(parse(raw), zone=ZONE)
