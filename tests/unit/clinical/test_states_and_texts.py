"""Portal states, status codes, and the words patients read."""

import itertools

import pytest
import textstat

from clinical.analytes import analytes
from clinical.patient_text import (
    PROMISES,
    RESULT_NOTE,
    Contact,
    acknowledged_text,
    text_for,
)
from clinical.reference_data import rows
from clinical.result_status import Handling, Shown, report_status, result_status
from clinical.states import SEVERITY, PortalState, Tier, more_serious, patient_label, tier_of
from clinical.verdict_reasons import RULE_IDS, reason_for

S = PortalState
CONTACT = Contact(phone="0100 111", hours="Mon-Fri 8-17", phone_24h="0100 999")


def test_there_are_24_states_each_with_rank_tier_label_and_text():
    assert len(S) == 24
    assert set(SEVERITY) == set(S)
    for state in S:
        assert tier_of(state) in Tier
        assert patient_label(state)
        assert text_for(state).meaning
        assert text_for(state).what_to_do


def test_only_in_range_is_drawn_as_fine():
    for state, concern in itertools.product(S, ("high", "low", "both", "none")):
        assert (tier_of(state, concern) is Tier.FINE) is (state is S.IN_RANGE)


@pytest.mark.parametrize("concern", ["high", "low", "both", "none"])
def test_more_serious_is_never_less_serious_and_does_not_depend_on_order(concern):
    for a, b in itertools.product(S, S):
        chosen = more_serious(a, b, concern)
        assert chosen is more_serious(b, a, concern)
        assert SEVERITY[chosen] >= max(SEVERITY[a], SEVERITY[b])


@pytest.mark.parametrize(
    ("a", "b", "concern", "expected"),
    [
        (S.LOW, S.HIGH, "high", S.HIGH),
        (S.LOW, S.HIGH, "low", S.LOW),
        (S.LOW, S.HIGH, "both", S.ABNORMAL),
        (S.LOW, S.HIGH, "none", S.ABNORMAL),
        (S.LOW_SIGNIFICANT, S.HIGH_SIGNIFICANT, "both", S.CRITICAL),
        (S.CRITICAL_LOW, S.CRITICAL_HIGH, "both", S.CRITICAL),
        (S.ABNORMAL, S.HIGH, "both", S.HIGH),
        (S.CRITICAL, S.CRITICAL_LOW, "both", S.CRITICAL_LOW),
        (S.HIGH, S.CRITICAL_LOW, "high", S.CRITICAL_LOW),
        (S.IN_RANGE, S.NO_RANGE, "both", S.NO_RANGE),
    ],
)
def test_more_serious_of_two(a, b, concern, expected):
    assert more_serious(a, b, concern) is expected


def test_off_direction_deviation_is_neutral_but_critical_is_not():
    assert tier_of(S.LOW, "high") is Tier.NEUTRAL
    assert tier_of(S.HIGH, "high") is Tier.ATTENTION
    assert tier_of(S.HIGH, "none") is Tier.NEUTRAL
    assert tier_of(S.CRITICAL_LOW, "high") is Tier.URGENT


# --- status codes -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "handling", "shown"),
    [
        ("F", Handling.FILE, Shown.YES),
        ("C", Handling.SUPERSEDE, Shown.YES),
        ("A", Handling.SUPERSEDE, Shown.YES),
        ("P", Handling.PRELIMINARY, Shown.POLICY),
        ("R", Handling.PRELIMINARY, Shown.NO),
        ("S", Handling.PRELIMINARY, Shown.POLICY),
        ("D", Handling.RETIRE, Shown.NO),
        ("W", Handling.RETIRE_WRONG_PATIENT, Shown.NO),
        ("X", Handling.CANCEL, Shown.YES),
        ("I", Handling.PENDING, Shown.YES),
        ("U", Handling.PROMOTE, Shown.YES),
        ("B", Handling.ADD_COMMENT, Shown.YES),
        ("V", Handling.VERIFY, Shown.YES),
        ("N", Handling.IGNORE, Shown.NO),
        ("O", Handling.IGNORE, Shown.NO),
        ("", Handling.QUEUE, Shown.NO),
        ("ZZ", Handling.QUEUE, Shown.NO),
        (" f ", Handling.FILE, Shown.YES),
    ],
)
def test_result_status(code, handling, shown):
    status = result_status(code)
    assert (status.handling, status.shown) == (handling, shown)


def test_fhir_counterparts():
    assert result_status("C").fhir_status == "corrected"
    assert result_status("N").fhir_status is None
    assert result_status("D").fhir_status == "entered-in-error"
    assert report_status("O").fhir_status == "registered"
    assert report_status("R").fhir_status == "partial"


def test_report_status():
    assert report_status("F").shown is Shown.YES
    assert report_status("A").shown is Shown.YES
    assert report_status("Y").queue
    assert report_status("Z").queue
    assert not report_status("F").queue
    assert report_status("").queue
    assert not report_status("zz").known


def test_every_row_of_the_status_table_is_known():
    for row in rows("hl7_status_map"):
        if row["code"] != "(empty)":
            find = result_status if row["field"] == "OBX-11" else report_status
            assert find(row["code"]).known


# --- words ------------------------------------------------------------------------------


def every_text():
    for state in S:
        filled = text_for(state).filled(CONTACT)
        yield from (patient_label(state), filled.meaning, filled.what_to_do)
    for rule in RULE_IDS:
        yield reason_for(rule, discrepancy=True)
    yield RESULT_NOTE


def test_no_text_promises_a_watcher_before_an_acknowledgement():
    for text in every_text():
        for promise in PROMISES:
            assert promise not in text.lower()


def test_every_placeholder_is_filled():
    for text in every_text():
        assert "{" not in text


@pytest.mark.parametrize("state", [S.CRITICAL_LOW, S.CRITICAL_HIGH, S.CRITICAL, S.OFF_SCALE_HIGH])
def test_critical_text_says_whom_to_call_and_not_to_wait(state):
    text = text_for(state).filled(CONTACT).what_to_do
    assert text == (
        "Call your care team now: 0100 111. Outside Mon-Fri 8-17: 0100 999. "
        "Do not wait for a message here."
    )


def test_critical_high_says_well_above():
    assert text_for(S.CRITICAL_HIGH).meaning == "Well above the lab's range."
    assert text_for(S.CRITICAL_LOW).meaning == "Well below the lab's range."


def test_only_in_range_reads_as_fine():
    for state in S:
        if state is not S.IN_RANGE:
            words = f"{text_for(state).meaning} {text_for(state).what_to_do}".lower()
            assert "your number is inside" not in words
            assert "normal" not in words
            assert "fine" not in words


def test_acknowledgement_names_a_role_and_a_time():
    assert acknowledged_text(role="Nurse", time_text="2 March, 10:15") == (
        "Nurse opened this on 2 March, 10:15."
    )


def test_texts_read_at_grade_6_or_below():
    texts = [
        f"{text_for(state).meaning} {text_for(state).what_to_do}".format(
            phone="us", hours="the day", phone_24h="the line"
        )
        for state in S
    ]
    assert textstat.flesch_kincaid_grade(" ".join(texts)) <= 6
    for text in texts:
        assert textstat.flesch_kincaid_grade(text) <= 6, text
    reasons = " ".join(reason_for(rule, discrepancy=False) for rule in sorted(RULE_IDS))
    assert textstat.flesch_kincaid_grade(reasons) <= 6
    plain = " ".join(a.plain_what for a in analytes())
    assert textstat.flesch_kincaid_grade(plain) <= 6
