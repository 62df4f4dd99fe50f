"""Symptom alerts: both sides of each threshold, red flags, and monotony."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinical.reference_data import rows
from clinical.symptom_rules import (
    AlertReason,
    AlertSettings,
    CheckIn,
    SymptomAnswer,
    Temperature,
    Urgency,
    composite_grade,
    concern_of,
    evaluate,
    red_flags,
    symptoms,
)

TODAY = date(2026, 3, 2)
MODERATE = settings(max_examples=150, deadline=None, derandomize=True)


def check_in(*answers, days_ago=0, **more):
    return CheckIn(
        completed_on=TODAY - timedelta(days=days_ago),
        answers={answer.symptom_key: answer for answer in answers},
        **more,
    )


def A(key, **levels):
    return SymptomAnswer(key, **levels)


def reasons(*answers, **more):
    return {(a.symptom_key, a.reason) for a in evaluate(check_in(*answers), **more)}


@pytest.mark.parametrize(
    ("below", "at"),
    [
        (A("fatigue", severity=2, interference=2), A("fatigue", severity=3)),
        (A("fatigue", interference=2), A("fatigue", interference=3)),
        (A("nausea", frequency=2, severity=2), A("nausea", frequency=3)),
        (A("diarrhea", frequency=2), A("diarrhea", frequency=3)),
        (A("breathless", severity=1), A("breathless", severity=2)),
        (A("vision", severity=1), A("vision", severity=2)),
        (A("nosebleeds", frequency=1), A("nosebleeds", frequency=2)),
    ],
)
def test_level_thresholds(below, at):
    assert reasons(below) == set()
    assert reasons(at) == {(at.symptom_key, AlertReason.LEVEL)}


def test_hot_flashes_never_alert():
    assert reasons(A("hot_flashes", frequency=4, severity=4)) == set()


def test_missing_is_not_zero_and_never_alerts():
    assert reasons(A("fatigue")) == set()
    before = check_in(A("fatigue"), days_ago=7)
    assert reasons(A("fatigue", severity=2), previous=before) == set()


@pytest.mark.parametrize(
    ("key", "then", "now", "worse"),
    [
        ("fatigue", 0, 2, True),
        ("fatigue", 1, 2, False),
        ("breathless", 0, 1, True),
        ("breathless", 1, 1, False),
        ("fatigue", 2, 0, False),
        ("joint_aches", 0, 2, False),
    ],
)
def test_worse_than_before(key, then, now, worse):
    before = check_in(A(key, severity=then), days_ago=7)
    found = reasons(A(key, severity=now), previous=before)
    assert ((key, AlertReason.WORSE) in found) is worse


@pytest.mark.parametrize(("then", "now", "alert"), [(2, 3, True), (1, 2, False), (3, 3, False)])
def test_activity_level_alerts_when_it_falls_to_three_or_four(then, now, alert):
    before = check_in(A("activity_level", activity_level=then), days_ago=7)
    found = reasons(A("activity_level", activity_level=now), previous=before)
    assert bool(found) is alert


def test_an_old_check_in_gives_way_to_the_baseline():
    first = check_in(A("fatigue", severity=2), days_ago=90)
    fresh = check_in(A("fatigue", severity=0), days_ago=28)
    stale = check_in(A("fatigue", severity=0), days_ago=29)
    now = A("fatigue", severity=2)
    assert reasons(now, previous=fresh, baseline=first) == {("fatigue", AlertReason.WORSE)}
    assert reasons(now, previous=stale, baseline=first) == set()
    assert reasons(now, previous=stale) == set()


@pytest.mark.parametrize("key", sorted(red_flags()))
def test_every_red_flag_answered_yes_alerts_with_its_urgency(key):
    (alert,) = evaluate(check_in(red_flags=frozenset({key})))
    assert (alert.red_flag_key, alert.urgency) == (key, red_flags()[key].urgency)
    assert alert.concern == concern_of("red_flag", key)


@pytest.mark.parametrize(
    ("answer", "flag"),
    [
        (A("seizure", present=True), "seizure"),
        (A("confusion", present=True), "confusion"),
        (A("leg_weakness", present=True), "cord_compression"),
        (A("bladder_bowel_control", frequency=1), "cord_compression"),
        (A("bladder_bowel_control", interference=1), "cord_compression"),
        (A("back_pain", present=True), "new_back_pain"),
        (A("jaundice", present=True), "jaundice"),
        (A("cough_blood", present=True), "coughing_blood"),
        (A("chest_pain", present=True), "breathing_emergency"),
    ],
)
def test_answers_that_are_a_red_flag_by_themselves(answer, flag):
    (alert,) = evaluate(check_in(answer))
    assert (alert.red_flag_key, alert.symptom_key) == (flag, answer.symptom_key)
    assert evaluate(check_in(SymptomAnswer(answer.symptom_key, present=False, frequency=0))) == ()


@pytest.mark.parametrize(
    ("number", "unit", "reason"),
    [
        ("38.0", "C", AlertReason.FEVER),
        ("37.9", "C", None),
        ("100.4", "F", AlertReason.FEVER),
        ("100.3", "F", None),
        ("38.0", None, AlertReason.FEVER),
        ("100.4", None, AlertReason.FEVER),
        ("36.6", None, None),
        ("98.6", None, None),
        ("50", None, AlertReason.TEMPERATURE_UNCLEAR),
        ("33.9", None, AlertReason.TEMPERATURE_UNCLEAR),
        ("94.9", None, AlertReason.TEMPERATURE_UNCLEAR),
        ("110.1", None, AlertReason.TEMPERATURE_UNCLEAR),
    ],
)
def test_temperature(number, unit, reason):
    alerts = evaluate(check_in(temperature=Temperature(Decimal(number), unit)))
    assert [a.reason for a in alerts] == ([] if reason is None else [reason])


def test_fever_is_an_emergency_on_treatment_whatever_the_blood_count():
    hot = check_in(temperature=Temperature(Decimal("38.2"), "C"))
    (alert,) = evaluate(hot)
    assert (alert.urgency, alert.red_flag_key) == (Urgency.EMERGENCY, "fever_on_treatment")
    (alert,) = evaluate(hot, on_treatment=False)
    assert (alert.urgency, alert.red_flag_key) == (Urgency.WITHIN_24H, None)


def test_fever_threshold_is_a_setting():
    warm = check_in(temperature=Temperature(Decimal("37.5"), "C"))
    assert evaluate(warm) == ()
    assert evaluate(warm, settings=AlertSettings(Decimal("37.5")))


def test_chills_ask_for_the_temperature_today():
    (alert,) = evaluate(check_in(A("chills", frequency=1)))
    assert (alert.reason, alert.urgency) == (
        AlertReason.CHILLS_ASK_TEMPERATURE,
        Urgency.SAME_DAY,
    )


@pytest.mark.parametrize(
    "other",
    [A("constipation", severity=1), A("nausea", frequency=1), A("confusion", present=True)],
)
def test_thirst_with_another_sign_is_the_high_calcium_red_flag(other):
    thirst = A("thirst_urination", frequency=1)
    flags = {a.red_flag_key for a in evaluate(check_in(thirst, other))}
    assert "high_calcium_symptoms" in flags
    assert evaluate(check_in(thirst)) == ()
    assert "high_calcium_symptoms" not in {a.red_flag_key for a in evaluate(check_in(other))}


def test_alerts_come_most_urgent_first():
    alerts = evaluate(
        check_in(
            A("fatigue", severity=4),
            A("seizure", present=True),
            red_flags=frozenset({"jaundice", "new_back_pain"}),
        )
    )
    urgencies = [a.urgency for a in alerts]
    assert urgencies == sorted(urgencies, reverse=True)
    assert urgencies[0] is Urgency.EMERGENCY


def test_urgency_order():
    assert Urgency.EMERGENCY > Urgency.SAME_DAY > Urgency.WITHIN_24H > Urgency.ROUTINE


def test_unknown_keys_raise():
    with pytest.raises(KeyError):
        evaluate(check_in(A("happiness", severity=3)))
    with pytest.raises(KeyError):
        evaluate(check_in(red_flags=frozenset({"nonsense"})))


@pytest.mark.parametrize("level", [-1, 5])
def test_levels_outside_the_scale_are_refused(level):
    with pytest.raises(ValueError, match="0 to 4"):
        A("fatigue", severity=level)


def test_no_row_pretends_to_be_confirmed_by_a_clinician():
    assert {flag.clinician_confirmed_by for flag in red_flags().values()} == {""}


def test_tables_fit_together():
    assert [row["symptom_key"] for row in rows("symptom_alerts")] == list(symptoms())
    for symptom in symptoms().values():
        assert concern_of("symptom", symptom.key)
        assert set(symptom.red_flag_keys) <= set(red_flags())
        for analyte_key in symptom.analyte_keys:
            assert concern_of("analyte", analyte_key)
    for name in ("analytes", "separate_analytes"):
        for row in rows(name):
            assert concern_of("analyte", row["analyte_key"])


@pytest.mark.parametrize(
    ("levels", "grade"),
    [
        ({"frequency": 4, "severity": 4, "interference": 4}, 3),
        ({"frequency": 4, "severity": 0, "interference": 4}, 2),
        ({"frequency": 1, "severity": 0, "interference": 0}, 0),
        ({"frequency": 0, "severity": 4, "interference": 4}, 0),
        ({"severity": 3, "interference": 2}, 2),
        ({"severity": 2, "interference": 4}, 3),
        ({"frequency": 4, "severity": 2}, 2),
        ({"severity": 3}, 3),
        ({"severity": 0, "interference": 3}, 0),
        ({"frequency": 3}, 2),
        ({"interference": 4}, 2),
        ({}, None),
    ],
)
def test_composite_grade(levels, grade):
    assert composite_grade(**levels) == grade


LEVEL = st.one_of(st.none(), st.integers(0, 4))
ANSWER = st.builds(
    SymptomAnswer,
    symptom_key=st.sampled_from(sorted(symptoms())),
    frequency=LEVEL,
    severity=LEVEL,
    interference=LEVEL,
    present=st.one_of(st.none(), st.booleans()),
    activity_level=LEVEL,
)
FORM = st.lists(ANSWER, max_size=5).map(lambda answers: check_in(*answers))


def raised(answer, attribute):
    level = getattr(answer, attribute)
    if attribute == "present":
        return replace(answer, present=True)
    return replace(answer, **{attribute: min(4, (level or 0) + 1)})


@MODERATE
@given(
    FORM,
    st.one_of(st.none(), FORM),
    st.sampled_from(["frequency", "severity", "interference", "present", "activity_level"]),
    st.frozensets(st.sampled_from(sorted(red_flags())), max_size=2),
)
def test_a_worse_answer_never_removes_an_alert(form, before, attribute, flags):
    first = evaluate(form, previous=before)
    for key, answer in form.answers.items():
        worse = replace(
            form, answers={**form.answers, key: raised(answer, attribute)}, red_flags=flags
        )
        assert set(first) <= set(evaluate(worse, previous=before))
