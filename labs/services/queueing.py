"""Words and actions of the staff queue, and its rows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from labs.models import InboundMessage, IntakeItem


@dataclass(frozen=True, slots=True)
class Trouble:
    """What must be settled: in words, and what clears it."""

    words: str
    action: str


_MAP_AND_REPROCESS: Final = "Add the code to the laboratory's code map, then process again."
_ALIAS_AND_REPROCESS: Final = "Add the spelling to the laboratory's units, then process again."
_ASK_LAB: Final = "Ask the laboratory to send it again with what is missing."
_SETTLE: Final = "Compare with the patient index and propose a decision; a second person confirms."
_MEANING: Final = "Add the flag to the laboratory's flag meanings, then process again."
_COMPARE: Final = "Compare with the stored message and ask the laboratory if needed."

TROUBLES: Final[dict[str, Trouble]] = {
    "no-pid": Trouble("The results name no patient.", _ASK_LAB),
    "pid-identifier-missing": Trouble("The patient has no usable number.", _ASK_LAB),
    "pid-authority-missing": Trouble(
        "The patient's number does not say who assigned it.",
        "Set the laboratory's default authority if it has one, then process again.",
    ),
    "pid-name-missing": Trouble("The patient has no family name.", _ASK_LAB),
    "pid-birth-date-missing": Trouble("The patient has no whole birth date.", _ASK_LAB),
    "authority-not-allowed": Trouble(
        "This laboratory may not use numbers of that authority.",
        "Allow the authority for this laboratory, then process again.",
    ),
    "unknown-patient": Trouble(
        "No active patient has this number.",
        "Register the patient and process again, or propose a decision that two people make.",
    ),
    "name-differs": Trouble("The number is known, but the family name differs.", _SETTLE),
    "birth-date-differs": Trouble("The number is known, but the birth date differs.", _SETTLE),
    "sex-differs": Trouble("The number is known, but the sex differs.", _SETTLE),
    "look-alike": Trouble(
        "Another patient has the same name and birth date.",
        "Find out whose results these are; nothing overrides this lock.",
    ),
    "identifiers-disagree": Trouble("The numbers belong to different patients.", _COMPARE),
    "text-too-long": Trouble(
        "The text, the comment or the list of flags is too long to be shown.",
        "Ask the laboratory to send it as a document.",
    ),
    "control-id-reused": Trouble(
        "Another message used the same control id.",
        "Check that it is not a mix-up, then process it.",
    ),
    "no-obr": Trouble("The result stands before any order.", _ASK_LAB),
    "status-missing": Trouble("The result has no status.", _ASK_LAB),
    "status-unknown": Trouble("The status of the result is not in the HL7 table.", _ASK_LAB),
    "code-missing": Trouble("The result does not say which test it is.", _ASK_LAB),
    "specimen-observation": Trouble(
        "The line stands after a specimen, so it is about the specimen and no result.",
        "If it is a result, ask the laboratory to send it before its SPM segment.",
    ),
    "unknown-code": Trouble("The test's code is not mapped to LOINC.", _MAP_AND_REPROCESS),
    "loinc-conflict": Trouble("The result names two different LOINC codes.", _MAP_AND_REPROCESS),
    "loinc-check-digit": Trouble("The LOINC code has a wrong check digit.", _MAP_AND_REPROCESS),
    "unknown-unit": Trouble("The unit is not known.", _ALIAS_AND_REPROCESS),
    "nothing-stored": Trouble(
        "The result refers to an earlier one that never came.",
        "Ask the laboratory to send the result itself.",
    ),
    "reference-unresolved": Trouble(
        "The report refers to a result that was not sent with it.", _ASK_LAB
    ),
    "report-without-results": Trouble("The report brings no results.", _ASK_LAB),
    "report-withdrawn": Trouble(
        "The report is withdrawn, and it does not say which results it held.", _COMPARE
    ),
    "modifier-extension": Trouble(
        "The sender adds something that changes the meaning and is not known here.", _ASK_LAB
    ),
    "document-encoding-unknown": Trouble(
        "The document is encoded in a way that is not in the HL7 table.", _ASK_LAB
    ),
    "document-unreadable": Trouble("The document is damaged: it cannot be decoded.", _ASK_LAB),
    "document-too-large": Trouble("The document is larger than 10 MB.", _ASK_LAB),
    "document-of-several": Trouble(
        "The document came with results of more than one person.", _COMPARE
    ),
    "document-empty": Trouble("The result announces a document, but brings none.", _ASK_LAB),
    "value-unreadable": Trouble("The value is of a kind that cannot be read.", _ASK_LAB),
    "repeated-result": Trouble(
        "Several results of one order have this code; it is not clear which one is meant.",
        _COMPARE,
    ),
    "report-status-query": Trouble(
        "The report answers a query: no order or no patient there.", _COMPARE
    ),
    "report-status-unknown": Trouble("The status of the report is not in the HL7 table.", _COMPARE),
    "filing-failed": Trouble(
        "Filing this message failed three times.", "Tell the operators, then process it again."
    ),
    "preliminary-after-final": Trouble(
        "An unfinished result came after the final one; the final one stays.", _COMPARE
    ),
    # The result is filed; only its judgement is in doubt.
    "flag-unknown": Trouble("The laboratory's flag is not in the HL7 table.", _MEANING),
    "flag-microbiology": Trouble("The flag belongs to microbiology, not to this test.", _COMPARE),
    "flags-contradict": Trouble("The laboratory's flags contradict each other.", _COMPARE),
    "discrepancy": Trouble("The laboratory's flag and its own range disagree.", _COMPARE),
    "unit-missing": Trouble("The number has no unit.", _ASK_LAB),
    "unit-unknown": Trouble("The unit of the number is not known.", _ALIAS_AND_REPROCESS),
    "unit-mismatch": Trouble("The unit does not fit this test or its range.", _COMPARE),
    "unit-suspect": Trouble("The size of the number looks like another unit.", _COMPARE),
    "unit-ask": Trouble("The size of the number is unusual for its unit.", _COMPARE),
    "implausible": Trouble("The number is beyond what can be measured in a person.", _COMPARE),
    "range-unreadable": Trouble("The reference range cannot be read.", _ASK_LAB),
    "configured-range-unit": Trouble(
        "The unit does not fit the range that was configured.",
        "Put the configured range right, then process again.",
    ),
    "off-scale-unconfigured": Trouble(
        "The laboratory flags with < or >; nobody has settled what it means by that.",
        "Ask the laboratory, set its off-scale meaning, then process again.",
    ),
    "lab-invalid": Trouble("The laboratory marks its own result as not valid.", _COMPARE),
    "lab-hold": Trouble("The laboratory holds this result back.", _ASK_LAB),
}
_OTHER: Final = Trouble("The result could not be judged with certainty.", _COMPARE)
_TIME: Final = Trouble("A time in the message cannot be used.", _COMPARE)


def trouble_of(reason: str) -> Trouble:
    """Return the words for `reason`; faults of a time share one sentence."""
    if reason.startswith("time-"):
        return _TIME
    return TROUBLES.get(reason, _OTHER)


_SEGMENT_SHOWN: Final = 20_000


@dataclass(frozen=True, slots=True)
class Doubt:
    """One thing to settle about a message, before it is a row."""

    reason: str
    segment: str = ""
    code: str = ""
    obr_position: int | None = None
    obx_index: int | None = None
    observation_id: UUID | None = None


def _shown(segment: str) -> str:
    """Return a segment as staff read it; of an endless one its beginning."""
    if len(segment) <= _SEGMENT_SHOWN:
        return segment
    return f"{segment[:_SEGMENT_SHOWN]}… (the message keeps all {len(segment)} characters)"


def queue(*, message: InboundMessage, doubts: list[Doubt], now: datetime) -> list[IntakeItem]:
    """Insert one row for each doubt that is not in the queue yet; one statement."""
    unique = {(d.reason, d.obr_position, d.obx_index): d for d in doubts}
    items = []
    for doubt in unique.values():
        trouble = trouble_of(doubt.reason)
        items.append(
            IntakeItem(
                message=message,
                laboratory_id=message.laboratory_id,
                reason=doubt.reason,
                words=trouble.words,
                action=trouble.action,
                code=doubt.code[:80],
                segment=_shown(doubt.segment).encode() if doubt.segment else None,
                obr_position=doubt.obr_position,
                obx_index=doubt.obx_index,
                observation_id=doubt.observation_id,
                raised_at=now,
            )
        )
    if items:
        IntakeItem.objects.bulk_create(items, ignore_conflicts=True)
    return items
