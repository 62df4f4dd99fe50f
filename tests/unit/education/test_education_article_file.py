"""The article format: a good file is read whole, a bad one is refused with file and line."""

import json
import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.states import PortalState
from education.article_file import ArticleFileError, parse_article
from education.articles import LINKABLE_STATES, ArticleFile

GOOD = """---
topic: high-test
title: A high test
slug: high-test
summary: What a high test means.
section: Tests
language: en
audience: mbc
sites: [liver]
subtypes: []
treatments: [chemotherapy]
analytes:
  - {analyte: alt, loinc: ["1742-6"], states: [HIGH], rule: complication, rank: 1, anchor: what}
  - {analyte: alt, loinc: ["1742-6"], states: any, rule: site, rank: 2, anchor: call}
  - {analyte: ast, loinc: ["1920-8"], states: any, rule: treatment, rank: 2, anchor: what}
symptoms:
  - {symptom: itch, anchor: what}
red_flags:
  - {red_flag: jaundice, anchor: call}
related: [liver-mets]
sensitivity: {outlook: prognosis}
emergency_box: true
sources:
  - {title: A page, publisher: A house, year: 2020, url: "https://example.org/a"}
reviewed_by: ""
reviewed_on: null
next_review: 2027-11-22
version: 1
---
## When should I call? {#call}
Call now.

## What is it? {#what}
A test.

## What about the future? {#outlook}
It depends.
"""


def parse(text: str) -> ArticleFile:
    return parse_article(text, name="high-test.md")


def problems(text: str) -> str:
    with pytest.raises(ArticleFileError) as caught:
        parse(text)
    return str(caught.value)


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) >= 1
    return GOOD.replace(old, new, 1)


def test_a_good_file_is_read_whole() -> None:
    article = parse(GOOD)
    assert [(s.anchor, s.sensitivity) for s in article.sections] == [
        ("call", None),
        ("what", None),
        ("outlook", "prognosis"),
    ]
    assert article.sections[1].heading == "What is it?"
    assert article.sections[1].markdown == "A test."
    assert article.next_review == date(2027, 11, 22)
    assert article.analytes[1].states == LINKABLE_STATES
    assert article.sources[0].year == 2020


def test_line_ends_of_windows_make_no_difference() -> None:
    assert parse(GOOD.replace("\n", "\r\n")) == parse(GOOD)


def test_states_that_a_patient_cannot_see_never_open_anything() -> None:
    assert not {PortalState.HELD, PortalState.RETRACTED} & LINKABLE_STATES
    article = parse(GOOD)
    assert article.link_for(loinc="1742-6", state=PortalState.HELD, sites=("liver",)) is None


@pytest.mark.parametrize(
    ("state", "sites", "anchor"),
    [
        (PortalState.HIGH, (), "what"),
        (PortalState.HIGH, ("liver",), "what"),
        (PortalState.IN_RANGE, ("liver",), "call"),
        (PortalState.IN_RANGE, ("bone",), None),
        (PortalState.IN_RANGE, (), None),
    ],
)
def test_the_first_entry_that_holds_wins(
    state: PortalState, sites: tuple[str, ...], anchor: str | None
) -> None:
    link = parse(GOOD).link_for(loinc="1742-6", state=state, sites=sites)
    assert (link.anchor if link else None) == anchor


def test_a_treatment_entry_needs_the_recorded_treatment() -> None:
    article = parse(GOOD)
    state = PortalState.IN_RANGE
    assert article.link_for(loinc="1920-8", state=state) is None
    assert article.link_for(loinc="1920-8", state=state, treatments=("surgery",)) is None
    assert article.link_for(loinc="1920-8", state=state, treatments=("chemotherapy",))


def test_another_code_opens_nothing() -> None:
    assert parse(GOOD).link_for(loinc="1743-4", state=PortalState.HIGH) is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("---\ntopic", "topic", ":1: front matter"),
        ("title: A high test", "title: [", "YAML"),
        ("title: A high test", "title: A\ntitle: B", ":4: YAML: key 'title' is written twice"),
        ("audience: mbc\n", "", ":1: audience is missing"),
        ("audience: mbc", "audience: mbc\nauthor: me", ":9: author is not a known key"),
        ("audience: mbc", "audience: everyone", ":8: audience must be one of"),
        ("section: Tests", "section: Labs", ":6: section must be one of"),
        ("slug: high-test", "slug: High Test", ":4: slug may hold only"),
        ("summary: What", "summary: " + "x" * 160, ":5: summary has 179 characters"),
        ("sites: [liver]", "sites: [knee]", ":9: sites must be a list out of"),
        ("sites: [liver]", "sites: [liver, liver]", ":9: sites names something twice"),
        ("sites: [liver]", "sites: []", "rule site needs sites"),
        ("treatments: [chemotherapy]", "treatments: []", "rule treatment needs treatments"),
        ('["1742-6"], states: [HIGH]', '["1742"], states: [HIGH]', "not well formed"),
        ('["1742-6"], states: [HIGH]', "[], states: [HIGH]", "needs LOINC codes"),
        (
            'analyte: alt, loinc: ["1742-6"], states: [HIGH]',
            'analyte: "*", loinc: ["1742-6"], states: [HIGH]',
            "needs LOINC codes, and '*' none",
        ),
        ("states: [HIGH]", "states: [HIGH, LOW]", "one direction only"),
        ("states: [HIGH]", "states: any", "one direction only"),
        ("states: [HIGH]", "states: [HELD]", "visible states"),
        ("states: [HIGH]", "states: []", "visible states"),
        ("rule: complication", "rule: guess", "rule must be one of"),
        ("rank: 1", "rank: 0", "rank must be 1 to 9"),
        ("rank: 1", "rank: true", "rank must be 1 to 9"),
        ("rank: 1, anchor: what", "rank: 1, anchor: gone", ":12: analytes points to the section"),
        ("symptom: itch, anchor: what", "symptom: itch", "entry 1 must have exactly"),
        ("related: [liver-mets]", "related: liver-mets", "must be a list of topic keys"),
        ("outlook: prognosis", "outlook: scary", "must map section anchors"),
        ("{outlook: prognosis}", "{gone: prognosis}", "names the section gone"),
        ("{outlook: prognosis}", "{call: prognosis}", "may not hide the call box"),
        ("emergency_box: true", "emergency_box: false", "is required here"),
        ("emergency_box: true", "emergency_box: 1", "must be true or false"),
        ("## When should I call? {#call}\nCall now.\n", "", "first section must be {#call}"),
        ("year: 2020", "year: soon", "year must be a number"),
        ("https://example.org/a", "ftp://example.org/a", "url must be an http address"),
        ("title: A page,", 'title: "",', "need a title and a publisher"),
        ('reviewed_by: ""', "reviewed_by: Dr. Who", "both or neither"),
        ("reviewed_on: null", "reviewed_on: 2026-01-01", "both or neither"),
        ("next_review: 2027-11-22", "next_review: soon", "next_review must be a date"),
        ("version: 1", "version: 0", "version must be 1 or more"),
        ("A test.", "<script>alert(1)</script>", ":34: raw HTML is not allowed"),
        ("A test.", "", "section what is empty"),
        ("A test.", "A nurse is looking at it.", "promises a watcher: 'is looking'"),
        ("A test.", "Your team\nhas seen it.", "promises a watcher: 'your team has'"),
        ("{#what}", "{#call}", ":33: this anchor is used twice"),
        ("What is it? {#what}", "What it is {#what}", ":33: a heading must be a question"),
        ("What is it? {#what}", "What is it?", ":33: a heading is"),
        ("## When should I", "Hello.\n\n## When should I", ":30: text must stand below"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(old: str, new: str, message: str) -> None:
    text = problems(changed(old, new))
    assert message in text
    assert re.match(r"high-test\.md:\d+: ", text)


def test_every_problem_is_reported_at_once() -> None:
    text = changed("audience: mbc", "audience: x").replace("version: 1", "version: 0")
    refusal = problems(text)
    assert "audience" in refusal
    assert "version" in refusal


@given(st.text(max_size=300))
def test_any_front_matter_is_read_or_refused_and_never_breaks(front: str) -> None:
    with pytest.raises(ArticleFileError):
        parse(f"---\n{front}\n---\n## Why? {{#why}}\nSo.\n")


@given(
    st.sampled_from(re.findall(r"^(\w+):", GOOD.split("---\n")[1], flags=re.MULTILINE)),
    st.one_of(
        st.none(),
        st.integers(),
        st.booleans(),
        st.text(alphabet="ab c", max_size=5),
        st.just([[]]),
        st.just([{}]),
        st.just({"a": []}),
    ),
)
def test_any_value_of_any_key_is_read_or_refused_and_never_breaks(key: str, value: object) -> None:
    text = re.sub(
        rf"^{key}:.*\n(?:  .*\n)*", f"{key}: {json.dumps(value)}\n", GOOD, flags=re.MULTILINE
    )
    try:
        parse(text)
    except ArticleFileError as error:
        refusal = error
    else:
        return
    assert refusal.problems
