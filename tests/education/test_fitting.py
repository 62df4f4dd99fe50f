"""What fits one patient: her recorded facts decide, and text for others is never hers."""

from datetime import date, datetime, timedelta

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from core.db import identity, system
from core.models import AuditEvent
from education import library, services
from education.articles import AUDIENCES, SITES, SUBTYPES, TREATMENTS
from education.profile import ReaderProfile
from education.selectors import fitting
from education.services import ImportSummary
from patients.models import Patient, ProfileFact
from tests.cast import Cast
from tests.education.conftest import Folder
from tests.education.texts import article, plain
from tests.tokens import Api, api_of

pytestmark = pytest.mark.django_db

PATH = "patients/me/education"


def record(patient: Patient, kind: str, code: str, now: datetime, **more: object) -> ProfileFact:
    with identity(system("registration")):
        return ProfileFact.objects.create(
            patient=patient,
            kind=kind,
            code=code,
            result=more.pop("result", "present"),
            source="clinic letter",
            recorded_at=now,
            **more,
        )


def topics(user: User) -> list[tuple[str, list[str]]]:
    response = api_of(user, "education.read").get(PATH)
    assert response.status_code == 200, response.content
    return [(item["topic"], item["reasons"]) for item in response.json()["items"]]


def test_her_recorded_site_comes_first_and_other_sites_do_not_come(
    cast: Cast, imported: ImportSummary, now: datetime
) -> None:
    record(cast.anna, "site", "liver", now)
    record(cast.brigid, "site", "bone", now)
    found = topics(cast.anna_user)
    assert found[0][1] == ["site:liver"]
    names = [topic for topic, _ in found]
    assert "liver-mets" in names[:2]
    assert "bone-mets" not in names


def test_without_recorded_facts_no_site_page_comes_and_warning_signs_do(
    cast: Cast, imported: ImportSummary, now: datetime
) -> None:
    found = topics(cast.anna_user)
    names = [topic for topic, _ in found]
    assert not {"liver-mets", "bone-mets"} & set(names)
    assert {"spinal-cord-compression", "infection-fever", "when-to-get-help"} <= set(names)
    assert all(reasons == [] for _, reasons in found)


@pytest.mark.parametrize(
    ("more", "fits"),
    [
        ({}, True),
        ({"result": "absent"}, False),
        ({"result": "unknown"}, False),
        ({"ends_on": date(2026, 11, 22)}, True),
        ({"ends_on": date(2026, 11, 21)}, False),
        ({"superseded_at": datetime.fromisoformat("2026-11-01T00:00:00+00:00")}, False),
    ],
)
def test_only_facts_that_hold_today_count(
    cast: Cast,
    folder: Folder,
    now: datetime,
    more: dict[str, object],
    fits: bool,
) -> None:
    services.import_content(directory=folder(en_brain_mets=article()), now=now)
    record(cast.anna, "site", "brain", now - timedelta(days=30), **more)
    with time_machine.travel(now):
        names = [topic for topic, _ in topics(cast.anna_user)]
    assert (names == ["brain-mets"]) == fits


def test_reading_is_audited_with_what_was_shown(
    cast: Cast, imported: ImportSummary, now: datetime
) -> None:
    found = topics(cast.anna_user)
    with identity(system("housekeeping")):
        event = AuditEvent.objects.get(operation="education.fitting")
    assert (event.patient_id, event.area) == (cast.anna.id, "education")
    assert len(event.resource_ids) == len(found)


def test_who_may_see_it(cast: Cast, imported: ImportSummary, now: datetime) -> None:
    hers = f"patients/{cast.anna.id}/education"
    stranger = cast.brigid.user
    assert stranger is not None
    answers = {
        "nobody": Api().get(hers),
        "owner": api_of(cast.anna_user, "education.read").get(hers),
        "no scope": api_of(cast.anna_user, "labs.read").get(hers),
        "stranger": api_of(stranger, "education.read").get(hers),
        "caregiver without": api_of(cast.dora, "education.read labs.read").get(hers),
    }
    assert {who: answer.status_code for who, answer in answers.items()} == {
        "nobody": 401,
        "owner": 200,
        "no scope": 403,
        "stranger": 404,
        "caregiver without": 404,
    }
    assert answers["owner"]["Cache-Control"] == "no-store, private"


def test_her_language_falls_back_to_english_and_says_so(
    cast: Cast, imported: ImportSummary, now: datetime
) -> None:
    User.objects.filter(pk=cast.anna_user.pk).update(language="es")
    response = api_of(cast.anna_user, "education.read").get(PATH).json()
    assert response["warnings"] == ["language-fallback"]
    assert {item["language"] for item in response["items"]} == {"en"}


@pytest.fixture
def every_audience(folder: Folder, now: datetime) -> dict[str, str]:
    """Four articles, one for each audience; returns topic → audience."""
    chosen = dict(zip(("biopsy", "scans", "cbc-explained", "anemia"), AUDIENCES, strict=True))
    texts = {
        f"en_{topic.replace('-', '_')}": plain(
            topic,
            "Tests",
            audience=audience,
            sites="[brain]",
            subtypes="[triple_negative]",
            treatments="[chemotherapy]",
        )
        for topic, audience in chosen.items()
    }
    services.import_content(directory=folder(**texts), now=now)
    library.forget()
    return chosen


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    profile=st.builds(
        ReaderProfile,
        sites=st.frozensets(st.sampled_from(SITES)),
        treatments=st.frozensets(st.sampled_from(TREATMENTS)),
        subtypes=st.frozensets(st.sampled_from(SUBTYPES)),
    ),
    language=st.sampled_from(["en", "es"]),
)
def test_no_profile_receives_an_article_whose_audience_excludes_her(
    every_audience: dict[str, str], profile: ReaderProfile, language: str
) -> None:
    found = {item.entry.file.topic for item in fitting(profile, language=language)}
    assert found == {
        topic for topic, audience in every_audience.items() if audience in ("mbc", "all")
    }
