"""The plain words behind each rule of `clinical.verdict`. No reason contains a number.

Public: `reason_for(rule_id, discrepancy)`, `RULE_IDS`.
"""

from collections.abc import Mapping
from types import MappingProxyType

_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "status.retracted": "The lab took this result back.",
        "status.cancelled": "The lab could not do this test.",
        "status.pending": "The lab has your sample. The result is not ready.",
        "status.preliminary": "This is an early result. It may still change.",
        "status.no_result": "The lab sent no result on this line.",
        "status.unclear": "The lab did not say if this result is final.",
        "value.absent": "The lab sent no result.",
        "value.pending": "The lab has not finished this test.",
        "value.not_done": "The lab could not give a result for this test.",
        "value.words": "This result is in words, so it is not compared with a range.",
        "unit.missing": "The lab sent a number without a unit.",
        "unit.unknown": "We do not know the unit the lab used.",
        "unit.family": "The unit does not fit this test.",
        "unit.previous": "The unit is not the one used for your earlier results.",
        "unit.range": "The unit of the result and the unit of the range do not fit.",
        "size.limits": "This number is far from what this test can give. It may be an error.",
        "size.unit": "This number may carry the wrong unit.",
        "range.none": "Your lab did not send a range.",
        "range.unreadable": "The lab's range cannot be used to compare this number.",
        "range.inside": "Inside the range for this lab.",
        "range.below": "Below the range for this lab.",
        "range.above": "Above the range for this lab.",
        "range.undecided": (
            "The lab gave a limit, not an exact number. We cannot tell if it is in range."
        ),
        "flag.usual_without_range": "The lab marked this as usual but sent no range.",
        "flag.usual_words": "The lab marked this as usual. It is in words, so it is not compared.",
        "flag.low": "The lab marked this as below its range.",
        "flag.high": "The lab marked this as above its range.",
        "flag.low_significant": "The lab marked this as clearly below its range.",
        "flag.high_significant": "The lab marked this as clearly above its range.",
        "flag.critical_low": "The lab marked this as well below its range.",
        "flag.critical_high": "The lab marked this as well above its range.",
        "flag.critical": "The lab marked this as a result that needs attention now.",
        "flag.abnormal": "The lab marked this as outside the expected result.",
        "flag.off_scale_low": "The lab marked this as below what the test can measure.",
        "flag.off_scale_high": "The lab marked this as above what the test can measure.",
        "flag.indeterminate": "The lab marked this as not clear.",
        "flag.no_range": "The lab says that no usual range applies.",
        "flag.non_numeric": "The lab marked this in words. It is not rated here.",
        "flag.invalid": "The lab could not report this test.",
        "flag.held": "The lab asked to hold this result.",
        "flag.needs_review": "The lab used a mark that we do not know.",
    }
)

RULE_IDS = frozenset(_REASONS)

_DISAGREE = "The lab's mark and its range do not agree. We show the more serious one."


def reason_for(rule_id: str, *, discrepancy: bool) -> str:
    """Return why a state was given, in words a patient can read."""
    reason = _REASONS[rule_id]
    return f"{reason} {_DISAGREE}" if discrepancy else reason
