"""Quiet hours as arithmetic, and templates that give nothing away."""

from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.symptom_rules import symptoms
from notifications.discretion import telling_words
from notifications.purposes import RULES, WHY_NOT, Purpose
from notifications.quiet_hours import Quiet
from notifications.wording import WORDINGS, WordingError, render, template_text

LINK = "https://linden.example"
ALL_TEXTS = [
    (wording.name, version, language)
    for wording in WORDINGS.values()
    for version in range(1, wording.version + 1)
    for language in wording.languages
]


@pytest.mark.parametrize(("name", "version", "language"), ALL_TEXTS)
def test_no_template_gives_anything_away(name: str, version: int, language: str) -> None:
    assert telling_words(template_text(name, version, language)) == []


@pytest.mark.parametrize(("name", "version", "language"), ALL_TEXTS)
def test_every_template_has_a_subject_a_body_and_one_bare_link(
    name: str, version: int, language: str
) -> None:
    context = dict.fromkeys(WORDINGS[name].variables, "123456")
    message = render(name, version=version, language=language, link=LINK, context=context)
    assert message.subject
    assert "\n" not in message.subject
    assert message.body.count(LINK) == 1
    assert f"{LINK}\n" in message.body
    assert "$" not in message.subject + message.body


@pytest.mark.parametrize(
    "text",
    [
        "Your calcium is ready",
        "Your LAB results",
        "Take your letrozole pills",
        "News from the oncology clinic",
        "Breast center",
        "Su hígado",
        "Sus resultados de laboratorio",
        "higado",
        "A check of your ALT",
        "Tell us about your nausea",
    ],
)
def test_a_telling_text_is_refused(text: str) -> None:
    assert telling_words(text) != []


def test_every_symptom_the_portal_asks_about_is_refused() -> None:
    assert [
        s.label for s in symptoms().values() if not telling_words(f"About {s.label} today")
    ] == []


def test_whole_words_count_only() -> None:
    assert telling_words("Latest carefully altered flowers") == []


def test_every_purpose_has_words_for_her_and_a_template() -> None:
    assert set(RULES) == set(Purpose)
    assert {rule.template for rule in RULES.values()} <= set(WORDINGS)
    assert all(WHY_NOT.values())


def test_a_missing_or_unknown_variable_is_an_error_and_not_a_blank() -> None:
    with pytest.raises(WordingError, match="template-variable-missing"):
        render("security_code", version=1, language="en", link=LINK, context={})
    with pytest.raises(WordingError, match="template-variable-unknown"):
        render("check_in", version=1, language="en", link=LINK, context={"name": "Anna"})
    with pytest.raises(WordingError, match="template-unknown"):
        render("check_in", version=99, language="en", link=LINK, context={})


def test_a_language_without_words_falls_back_to_english() -> None:
    assert template_text("check_in", 1, "de") == template_text("check_in", 1, "en")


# --- quiet hours ------------------------------------------------------------------------------


def test_quiet_hours_may_only_be_wider_than_the_night() -> None:
    Quiet("UTC", time(21), time(8))
    with pytest.raises(ValueError):
        Quiet("UTC", time(21, 1), time(8))
    with pytest.raises(ValueError):
        Quiet("UTC", time(21), time(7, 59))


@pytest.mark.parametrize(
    ("zone", "evening", "morning"),
    [
        # The night in which clocks go forward, then back.
        ("Europe/Berlin", "2026-03-28T20:30", "2026-03-29T06:00"),
        ("Europe/Berlin", "2026-10-24T20:30", "2026-10-25T07:00"),
        ("America/New_York", "2026-03-08T02:30", "2026-03-08T12:00"),
        ("America/New_York", "2026-11-01T02:30", "2026-11-01T13:00"),
        ("Australia/Lord_Howe", "2026-10-03T12:00", "2026-10-03T21:00"),
        ("Asia/Kolkata", "2026-03-28T16:00", "2026-03-29T02:30"),
        ("America/Sao_Paulo", "2028-02-29T01:00", "2028-02-29T11:00"),
    ],
)
def test_quiet_ends_at_eight_on_her_clock(zone: str, evening: str, morning: str) -> None:
    at = datetime.fromisoformat(evening).replace(tzinfo=UTC)
    assert Quiet(zone).first_allowed(at) == datetime.fromisoformat(morning).replace(tzinfo=UTC)


@given(
    at=st.datetimes(datetime(2026, 1, 1), datetime(2029, 12, 31), timezones=st.just(UTC)),
    zone=st.sampled_from(
        ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia"]
    ),
    starts=st.times(time(12, 1), time(21)),
    ends=st.times(time(8), time(11, 59)),
)
def test_the_first_allowed_instant_is_never_quiet_never_earlier_and_within_a_day(
    at: datetime, zone: str, starts: time, ends: time
) -> None:
    quiet = Quiet(zone, starts, ends)
    allowed = quiet.first_allowed(at)
    assert not quiet.covers(allowed)
    assert at <= allowed < at + timedelta(hours=24)
