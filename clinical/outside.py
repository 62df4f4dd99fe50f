"""Judge a result that a patient typed in from a paper of another laboratory.

Public: `judge_outside(...) -> OutsideVerdict`, `outside_text(...)`, `outside_reason(...)`,
`not_by_clinic(...)`.

Only the range that she typed judges the number. There is no flag, and nobody of the staff is
told, so the one thing the portal adds is for herself: a number beyond the fallback limits of
`analytes.csv`, under the unit she gave or one that it may have been meant in, says to call now.

The limits are local lists (see data/README.md); the words are ours and were not tested with
patients.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from clinical.patient_text import PatientText, text_for
from clinical.reference_ranges import RangeProblem, ReferenceRange
from clinical.states import RULE_VERSION, PortalState, Tier, tier_of
from clinical.units import Unit
from clinical.values import ObservedValue
from clinical.verdict import Basis, ResultInput, judge

CRITICAL_RULE = "outside.critical"


@dataclass(frozen=True, slots=True)
class OutsideVerdict:
    """What the portal says to her about a number that she entered."""

    state: PortalState
    tier: Tier
    rule_id: str
    basis: Basis
    range_used: ReferenceRange | None
    reason: str
    computed_state: PortalState
    rule_version: str = RULE_VERSION


def judge_outside(
    *,
    analyte_key: str,
    value: ObservedValue,
    unit_raw: str,
    unit: Unit | None,
    typed_range: ReferenceRange | RangeProblem,
) -> OutsideVerdict:
    """Return the verdict. `unit` is `normalise_unit` of `unit_raw`. Raises: KeyError."""
    verdict = judge(
        ResultInput(
            analyte_key=analyte_key,
            value=value,
            unit_raw=unit_raw,
            unit=unit,
            lab_range=typed_range,
            status="F",
        )
    )
    if verdict.staff_critical:
        state, rule, basis, used = PortalState.CRITICAL, CRITICAL_RULE, Basis.NONE, None
        tier = tier_of(state)
    else:
        state, rule, basis = verdict.state, verdict.rule_id, verdict.basis
        used, tier = verdict.range_used, verdict.tier
    return OutsideVerdict(
        state=state,
        tier=tier,
        rule_id=rule,
        basis=basis,
        range_used=used,
        reason=outside_reason(state),
        computed_state=verdict.computed_state,
    )


_S = PortalState
_REASONS: Mapping[PortalState, str] = MappingProxyType(
    {
        _S.IN_RANGE: "Inside the range that was typed in with it.",
        _S.LOW: "Below the range that was typed in with it.",
        _S.HIGH: "Above the range that was typed in with it.",
        _S.INDETERMINATE: (
            "It is a limit, not an exact number. We cannot tell if it is in the typed range."
        ),
        _S.NO_RANGE: "No range was typed in that we can use, so we cannot rate it.",
        _S.UNKNOWN_UNIT: "We do not know the unit that was typed in, so we cannot rate it.",
        _S.UNIT_MISMATCH: "The unit that was typed in does not fit this test.",
        _S.IMPLAUSIBLE: "This number is far from what this test can give. Check it on the paper.",
        _S.CRITICAL: "If this number is right, it needs care now.",
    }
)


def outside_reason(state: PortalState) -> str:
    """Return why a state was given. Raises: KeyError for a state that no typed number reaches."""
    return _REASONS[state]


def outside_text(state: PortalState) -> PatientText:
    """Return what it means and what to do, with the placeholders of `clinical.patient_text`."""
    if state is _S.CRITICAL:
        return PatientText(
            _REASONS[state] + " Check that it is typed as it is printed.",
            text_for(_S.CRITICAL).what_to_do,
        )
    # In range says nothing of a clinic that never saw the number: ask all the same.
    return PatientText(_REASONS[state], text_for(_S.NO_RANGE).what_to_do)


def not_by_clinic(*, by_reader: bool, by_patient: bool) -> str:
    """Return who entered it, for everybody who sees it."""
    if by_reader:
        return "You entered this. Your clinic did not."
    who = "The patient" if by_patient else "A caregiver"
    return f"{who} entered this. The clinic did not."
