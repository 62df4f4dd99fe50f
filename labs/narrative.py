"""Text that a laboratory sends line by line, made into whole texts again.

Source: HL7 v2.5.1 chapter 7.4.2: OBX segments of one OBX-3 under one OBR, told apart by OBX-4.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

from labs.hl7.codes import CodedElement
from labs.hl7.facts import ObservationLine, OruMessage, Report

_TEXT_TYPES = frozenset({"TX", "FT"})


def with_whole_texts(message: OruMessage) -> OruMessage:
    """Return the message with the lines of each text joined in the order of the message."""
    groups = tuple(
        replace(group, reports=tuple(_whole(report) for report in group.reports))
        for group in message.groups
    )
    return replace(message, groups=groups)


def _whole(report: Report) -> Report:
    lines: list[ObservationLine] = []
    for _, found in groupby(report.observations, key=_text_of):
        run = list(found)
        lines += _joined(run) if len(run) > 1 and _text_of(run[0]) else run
    if len(lines) == len(report.observations):
        return report
    return replace(report, observations=tuple(lines))


def _text_of(line: ObservationLine) -> tuple[CodedElement, str] | None:
    """Return what neighbouring lines of one text share; None for what is no plain text."""
    if line.value_type.strip().upper() not in _TEXT_TYPES or line.faults or not line.values:
        return None
    if line.unit or line.range_text or line.flags:
        return None
    return line.code, line.status


def _joined(run: Sequence[ObservationLine]) -> list[ObservationLine]:
    """Join neighbours whose OBX-4 is the same, or counts the lines from 1.

    Any other OBX-4 names a part of its own, such as specimen A and B: those stay apart.
    """
    if len(run) > 1 and [line.sub_id.strip() for line in run] == [
        str(n) for n in range(1, len(run) + 1)
    ]:
        return [replace(_one(run), sub_id="")]
    return [_one(list(same)) for _, same in groupby(run, key=lambda line: line.sub_id)]


def _one(run: Sequence[ObservationLine]) -> ObservationLine:
    if len(run) == 1:
        return run[0]
    return replace(
        run[0],
        values=tuple(value for line in run for value in line.values),
        texts=tuple(text for line in run for text in line.texts),
        components=tuple(parts for line in run for parts in line.components),
        notes=tuple(note for line in run for note in line.notes),
        raw_segment="\r".join(line.raw_segment for line in run),
    )
