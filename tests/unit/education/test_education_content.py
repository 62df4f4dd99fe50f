"""Every shipped article: format, reading grade, codes, and what it must and must not say."""

import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import textstat

from clinical.reference_data import rows
from clinical.states import PortalState
from education.article_file import parse_article
from education.articles import (
    ANY_ANALYTE,
    CALL_ANCHOR,
    PROMISES_OF_A_WATCHER,
    TREATMENTS,
    ArticleFile,
)
from education.readability import measure, plain_text

CONTENT = Path(__file__).parents[3] / "education" / "content" / "en"
FILES = sorted(CONTENT.glob("*.md"))
ARTICLES = [parse_article(path.read_text(encoding="utf-8"), name=path.name) for path in FILES]
BY_TOPIC = {article.topic: article for article in ARTICLES}
TOPICS = {row["topic_key"]: row for row in rows("topic_map")}
GRADE_GATE = 6.0

LIVER = ["alt", "ast", "alp", "ggt", "bilirubin_total", "albumin"]
CALCIUM = ["calcium_total", "calcium_ionized", "calcium_corrected"]
LIVER_AND_CALCIUM = [*LIVER, *CALCIUM]
# Treatment pages open from the treatment that staff recorded, not from these results.
OPENED_BY_TREATMENT = set(TREATMENTS) - {"bone-drugs"}
ADDED_TO_TOPIC_MAP = {
    # A low free calcium is low calcium; the map names total and corrected only.
    ("bone-drugs", "calcium_ionized"),
    # The panel page explains the three calciums and albumin together.
    ("cmp-explained", "calcium_ionized"),
    ("cmp-explained", "calcium_corrected"),
}
HIGH, LOW = PortalState.HIGH, PortalState.LOW

each_article = pytest.mark.parametrize("article", ARTICLES, ids=lambda a: a.topic)


def loincs_of(analyte: str) -> set[str]:
    return {row["loinc"] for row in rows("loincs") if row["analyte_key"] == analyte}


def primary(analyte: str) -> str:
    return next(
        row["loinc"]
        for row in rows("loincs")
        if row["analyte_key"] == analyte and row["primary"] == "yes"
    )


def opened(loinc: str, state: PortalState, **profile: tuple[str, ...]) -> set[str]:
    return {a.topic for a in ARTICLES if a.link_for(loinc=loinc, state=state, **profile)}


def prose_of(markdown: str) -> str:
    """Return paragraphs only: short headings and list items would flatter the grade."""
    blocks = re.split(r"\n\s*\n", markdown)
    return "\n\n".join(
        "\n".join(line for line in block.splitlines() if not line.startswith("## "))
        for block in blocks
        if not block.lstrip().startswith("- ")
    )


def test_the_reading_grade_table_stays_at_or_below_the_gate(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = [f"{'article':28} words  ours  textstat  paragraphs only"]
    over = []
    for article in ARTICLES:
        ours = article.readability
        oracle = round(textstat.flesch_kincaid_grade(plain_text(article.body)), 1)
        prose = measure(prose_of(article.body)).grade
        table.append(f"{article.topic:28} {ours.words:5} {ours.grade:5} {oracle:9} {prose:16}")
        if max(ours.grade, oracle, prose) > GRADE_GATE:
            over.append(article.topic)
    with capsys.disabled():
        print("\n" + "\n".join(table))
    assert over == []


@each_article
def test_our_grade_is_close_to_textstat_on_a_whole_article(article: ArticleFile) -> None:
    oracle = textstat.flesch_kincaid_grade(plain_text(article.body))
    assert article.readability.grade == pytest.approx(oracle, abs=1.2)


@each_article
def test_an_article_has_300_to_900_words(article: ArticleFile) -> None:
    assert 300 <= article.readability.words <= 900


def test_topics_and_slugs_are_unique_and_match_the_file_name() -> None:
    assert len(BY_TOPIC) == len(ARTICLES) == len({a.slug for a in ARTICLES})
    assert [f"{a.slug}.md" for a in ARTICLES] == [path.name for path in FILES]


@each_article
def test_topic_and_section_are_those_of_the_topic_map(article: ArticleFile) -> None:
    assert TOPICS[article.topic]["section"] == article.section
    assert set(article.related) <= set(TOPICS) - {article.topic}


@each_article
def test_loinc_codes_belong_to_the_analyte_they_stand_for(article: ArticleFile) -> None:
    for link in article.analytes:
        if link.analyte != ANY_ANALYTE:
            assert primary(link.analyte) in link.loinc
            codes = loincs_of(link.analyte)
            if link.analyte == "bun":
                # Urea is another analyte than urea nitrogen; the same page explains both.
                codes |= loincs_of("urea")
            assert set(link.loinc) <= codes


@each_article
def test_analytes_are_those_of_the_topic_map(article: ArticleFile) -> None:
    mapped = set(TOPICS[article.topic]["analyte_keys"].split(";"))
    named = {link.analyte for link in article.analytes}
    extra = {key for key in named - mapped if (article.topic, key) not in ADDED_TO_TOPIC_MAP}
    assert extra == set()


@each_article
def test_symptoms_and_red_flags_are_known(article: ArticleFile) -> None:
    assert {link.key for link in article.symptoms} <= {r["symptom_key"] for r in rows("symptoms")}
    flags = {row["red_flag_key"] for row in rows("red_flags")}
    assert {link.key for link in article.red_flags} <= flags


def test_every_red_flag_that_a_symptom_raises_is_on_the_help_page() -> None:
    covered = {link.key for link in BY_TOPIC["when-to-get-help"].red_flags}
    assert covered == {row["red_flag_key"] for row in rows("red_flags")}


@each_article
def test_the_call_box_comes_first_where_an_article_has_one(article: ArticleFile) -> None:
    assert (article.sections[0].anchor == CALL_ANCHOR) == article.emergency_box
    if article.emergency_box:
        box = article.sections[0].markdown.lower()
        assert "emergency services" in box
        assert re.search(r"do not (wait|use|send)[^.]*(portal|message)", box)


@each_article
def test_the_words_never_promise_that_somebody_is_watching(article: ArticleFile) -> None:
    text = " ".join(f"{article.summary} {article.body}".lower().split())
    assert [phrase for phrase in PROMISES_OF_A_WATCHER if phrase in text] == []


@each_article
def test_nothing_pretends_to_be_reviewed_by_a_clinician(article: ArticleFile) -> None:
    assert (article.reviewed_by, article.reviewed_on) == ("", None)
    assert article.next_review == date(2027, 11, 22)


@each_article
def test_talk_about_the_future_is_opt_in(article: ArticleFile) -> None:
    hidden = {s.anchor for s in article.sections if s.sensitivity == "prognosis"}
    speaks = {s.anchor for s in article.sections if "future" in s.heading.lower()}
    assert hidden == speaks


@pytest.mark.parametrize("analyte", LIVER_AND_CALCIUM)
@pytest.mark.parametrize("state", [PortalState.IN_RANGE, HIGH, LOW, PortalState.NO_RANGE])
def test_every_liver_and_calcium_result_opens_its_own_page(
    analyte: str, state: PortalState
) -> None:
    own = {"liver-panel-explained", "cmp-explained"}
    for loinc in loincs_of(analyte):
        assert opened(loinc, state) & own
        assert "reading-your-results" in opened(loinc, state)


@pytest.mark.parametrize("analyte", LIVER_AND_CALCIUM)
def test_every_topic_mapped_to_a_liver_or_calcium_analyte_is_written(analyte: str) -> None:
    mapped = {key for key, row in TOPICS.items() if analyte in row["analyte_keys"].split(";")}
    assert mapped - OPENED_BY_TREATMENT <= set(BY_TOPIC)


@pytest.mark.parametrize("analyte", LIVER)
@pytest.mark.parametrize("state", [HIGH, LOW, PortalState.CRITICAL_HIGH])
def test_a_liver_result_opens_the_liver_site_page_only_for_a_recorded_site(
    analyte: str, state: PortalState
) -> None:
    code = primary(analyte)
    assert "liver-mets" not in opened(code, state)
    assert "liver-mets" not in opened(code, state, sites=("bone",))
    assert "liver-mets" in opened(code, state, sites=("liver",))


@pytest.mark.parametrize("analyte", CALCIUM)
def test_calcium_opens_the_complication_in_the_direction_of_the_result(analyte: str) -> None:
    code = primary(analyte)
    assert "high-calcium" in opened(code, HIGH) - opened(code, LOW)
    assert "bone-drugs" in opened(code, LOW) - opened(code, HIGH)
    for state in (PortalState.IN_RANGE, PortalState.NO_RANGE, PortalState.ABNORMAL):
        assert not {"high-calcium", "bone-drugs"} & opened(code, state)


def test_high_bilirubin_opens_its_page_and_a_low_one_does_not() -> None:
    code = primary("bilirubin_total")
    assert "high-bilirubin" in opened(code, PortalState.CRITICAL_HIGH)
    assert "high-bilirubin" not in opened(code, LOW) | opened(code, PortalState.IN_RANGE)


def test_low_albumin_does_not_open_the_high_calcium_page() -> None:
    assert "high-calcium" not in opened(primary("albumin"), LOW)


def test_calcium_corrected_for_total_protein_is_not_taken_for_the_albumin_one() -> None:
    named = {code for article in ARTICLES for link in article.analytes for code in link.loinc}
    assert not {"18281-6", "34907-6"} & named


@pytest.mark.parametrize(
    ("state", "anchor"),
    [
        (PortalState.NO_RANGE, "no-range"),
        (PortalState.PENDING, "not-final"),
        (PortalState.UNKNOWN_UNIT, "cannot-tell"),
        (PortalState.CRITICAL_HIGH, "call"),
        (PortalState.LOW, "flags"),
        (PortalState.IN_RANGE, "range"),
    ],
)
def test_reading_your_results_opens_at_the_paragraph_for_the_state(
    state: PortalState, anchor: str
) -> None:
    link = BY_TOPIC["reading-your-results"].link_for(loinc="1742-6", state=state)
    assert link is not None
    assert link.anchor == anchor


def written_keys() -> Iterator[str]:
    text = (CONTENT.parent / "README.md").read_text(encoding="utf-8")
    yield from re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)


def test_the_readme_describes_every_front_matter_key() -> None:
    front = FILES[0].read_text(encoding="utf-8").split("---\n")[1]
    keys = set(re.findall(r"^(\w+):", front, flags=re.MULTILINE))
    assert keys <= set(written_keys())
