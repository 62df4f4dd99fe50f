"""Which article a result opens, through the registry that result pages ask."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from django.db import DatabaseError, connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinical.reference_data import rows
from clinical.states import PortalState
from core import links as registry
from core.links import Link, LinkRequest
from education import library, services
from education.article_file import parse_article
from education.articles import HIGH_STATES, LINKABLE_STATES, LOW_STATES, SITES, TREATMENTS
from education.links import links_for
from education.models import ArticleVersion
from education.profile import ReaderProfile
from education.services import ImportSummary
from tests.education.conftest import Folder
from tests.education.texts import article, plain

pytestmark = pytest.mark.django_db

PANEL = "liver-panel-explained"
OWN_PAGE = {
    "alt": (PANEL, "alt-ast"),
    "ast": (PANEL, "alt-ast"),
    "alp": (PANEL, "alp-ggt"),
    "ggt": (PANEL, "alp-ggt"),
    "bilirubin_total": (PANEL, "bilirubin"),
    "albumin": (PANEL, "albumin"),
    "calcium_total": ("cmp-explained", "calcium"),
    "calcium_ionized": ("cmp-explained", "calcium"),
    "calcium_corrected": ("cmp-explained", "calcium-and-albumin"),
}
COMPLICATIONS = {
    ("bilirubin_total", "high"): ("high-bilirubin", "what"),
    ("calcium_total", "high"): ("high-calcium", "what"),
    ("calcium_ionized", "high"): ("high-calcium", "what"),
    ("calcium_corrected", "high"): ("high-calcium", "corrected"),
    ("calcium_total", "low"): ("bone-drugs", "low-calcium"),
    ("calcium_ionized", "low"): ("bone-drugs", "low-calcium"),
    ("calcium_corrected", "low"): ("bone-drugs", "low-calcium"),
    ("albumin", "low"): ("fluid-buildup", "albumin"),
}
CODES = [
    (row["analyte_key"], row["loinc"]) for row in rows("loincs") if row["analyte_key"] in OWN_PAGE
]


def opened(loinc: str, state: PortalState | str, profile: object = None) -> list[tuple[str, str]]:
    request = LinkRequest(loinc, str(state))
    return [
        (link.topic, link.href.partition("#")[2])
        for link in links_for([request], profile, "en")[request]
    ]


def topics(loinc: str, state: PortalState | str, profile: object = None) -> set[str]:
    return {topic for topic, _ in opened(loinc, state, profile)}


def test_every_code_and_state_of_the_core_analytes_opens_its_page(imported: ImportSummary) -> None:
    assert {analyte for analyte, _ in CODES} == set(OWN_PAGE)
    for analyte, loinc in CODES:
        for state in LINKABLE_STATES:
            found = opened(loinc, state)
            assert OWN_PAGE[analyte] in found, (analyte, loinc, state)
            assert len({topic for topic, _ in found}) == len(found)


def test_a_complication_opens_in_its_direction_only(imported: ImportSummary) -> None:
    for analyte, loinc in CODES:
        for state in LINKABLE_STATES:
            found = opened(loinc, state)
            for direction, states in (("high", HIGH_STATES), ("low", LOW_STATES)):
                page = COMPLICATIONS.get((analyte, direction))
                if page is not None:
                    assert (page in found) == (state in states), (analyte, loinc, state)


def test_what_she_cannot_see_opens_nothing(imported: ImportSummary) -> None:
    for state in ("HELD", "RETRACTED", "nonsense", ""):
        assert opened("1742-6", state) == []


def test_a_high_liver_test_alone_never_opens_cancer_in_the_liver(imported: ImportSummary) -> None:
    for analyte, loinc in CODES:
        for state in LINKABLE_STATES:
            assert not {"liver-mets", "bone-mets"} & topics(loinc, state), (analyte, state)


PROFILES = [
    {"sites": ["liver"]},
    ReaderProfile(sites=frozenset({"liver"})),
    type("Recorded", (), {"sites": ("liver",), "treatments": ()})(),
]


def test_a_recorded_site_opens_its_page(imported: ImportSummary) -> None:
    for profile in PROFILES:
        assert "liver-mets" in topics("1742-6", "HIGH", profile)
        assert "bone-mets" not in topics("6768-6", "HIGH", profile)


def test_a_treatment_page_opens_for_a_recorded_treatment(imported: ImportSummary) -> None:
    assert "bone-drugs" not in topics("2160-0", "HIGH")
    assert "bone-drugs" in topics("2160-0", "HIGH", {"treatments": ["bone-drugs"]})


def test_an_unknown_code_still_opens_how_to_read_results(imported: ImportSummary) -> None:
    assert "reading-your-results" in topics("99999-9", "NO_RANGE")


def test_links_come_by_rank_then_title(imported: ImportSummary) -> None:
    request = LinkRequest("1975-2", "HIGH")
    titles = [link.topic for link in links_for([request], None, "en")[request]]
    assert titles[:2] == ["high-bilirubin", "liver-panel-explained"]
    assert titles[-2:] == ["reading-your-results", "lab-tests-overview"]


def test_a_link_is_an_address_of_the_api(imported: ImportSummary) -> None:
    request = LinkRequest("1742-6", "HIGH")
    assert links_for([request], None, "es")[request][0] == Link(
        topic=PANEL,
        title="The liver panel",
        href=f"/api/v1/education/articles/{PANEL}?lang=es#alt-ast",
        language="en",
    )


def test_a_warm_page_of_results_costs_no_statement(imported: ImportSummary) -> None:
    requests = [LinkRequest(loinc, "HIGH") for _, loinc in CODES]
    links_for(requests, {"sites": ["liver"]}, "en")
    with CaptureQueriesContext(connection) as captured:
        found, warnings = registry.links_for(requests, {"sites": ["bone"]}, "en")
    assert len(captured) == 0
    assert warnings == []
    assert all(found[request] for request in requests)


def test_when_no_longer_fresh_one_statement_asks_for_the_edition(
    imported: ImportSummary,
) -> None:
    first = library.current(monotonic=lambda: 100.0)
    with CaptureQueriesContext(connection) as captured:
        assert library.current(monotonic=lambda: 114.9) is first
    assert len(captured) == 0
    with CaptureQueriesContext(connection) as captured:
        assert library.current(monotonic=lambda: 115.0) is first
    asked = [q["sql"] for q in captured if "SAVEPOINT" not in q["sql"]]
    assert len(asked) == 1
    assert "education_edition" in asked[0]


def test_a_new_edition_is_seen_when_the_copy_is_no_longer_fresh(
    folder: Folder, now: datetime
) -> None:
    services.import_content(directory=folder(en_brain_mets=article()), now=now)
    library.current(monotonic=lambda: 0.0)
    services.import_content(directory=folder(en_biopsy=plain("biopsy", "Tests")), now=now)
    assert ("biopsy", "en") not in library.current(monotonic=lambda: 14.0).entries
    assert ("biopsy", "en") in library.current(monotonic=lambda: 15.0).entries


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_a_publication_shows_at_once_where_it_was_made(folder: Folder, now: datetime) -> None:
    services.import_content(directory=folder(en_brain_mets=article()), now=now)
    assert set(library.current().entries) == {("brain-mets", "en")}
    services.import_content(directory=folder(en_biopsy=plain("biopsy", "Tests")), now=now)
    assert ("biopsy", "en") in library.current().entries


def test_a_database_that_fails_leaves_the_copy_in_use(
    imported: ImportSummary, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = library.current(monotonic=lambda: 0.0)

    def fail(_: object) -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr(library, "_refreshed", fail)
    assert library.current(monotonic=lambda: 60.0) is held


def test_a_library_that_cannot_load_gives_a_warning_and_leaves_the_transaction_usable(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(edition: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM no_such_table")

    monkeypatch.setattr(library, "_load", broken)
    request = LinkRequest("1742-6", "HIGH")
    found, warnings = registry.links_for([request], None, "en")
    assert (found[request], warnings) == ([], ["links-unavailable"])
    assert ArticleVersion.objects.count() == 0


audiences = st.sampled_from(["mbc", "early", "relatives", "all"])
subsets = st.frozensets(st.sampled_from(SITES))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sites=subsets,
    treatments=st.frozensets(st.sampled_from(TREATMENTS)),
    state=st.sampled_from(sorted(PortalState)),
    audience=audiences,
)
def test_no_profile_is_linked_to_text_that_is_not_for_patients(
    sites: frozenset[str], treatments: frozenset[str], state: PortalState, audience: str
) -> None:
    published = library_of(audience)
    profile = ReaderProfile(sites, treatments)
    found = published.opened_by(loinc="2951-2", state=state, profile=profile, language="en")
    visible = state in LINKABLE_STATES and "brain" in sites
    assert bool(found) == (visible and audience in {"mbc", "all"})


def library_of(audience: str) -> library.Library:
    """Return a library of one article about the brain for one audience, without a database."""
    entry = library.Entry(
        version_id=UUID(int=1),
        number=1,
        file=parse_article(article(audience=audience), name="brain-mets.md"),
        html={},
        reading_grade=None,
        published_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return library.Library(
        edition=None,
        topics=(("brain-mets", "By site"),),
        entries={entry.key: entry},
        addresses={"brain-mets": "brain-mets"},
    )
