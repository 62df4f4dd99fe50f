"""Forms of the laboratory's staff pages: whose results these are, and nothing chosen beforehand."""

from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core.db import identity, system
from labs.models import ConfiguredRange, SendingLaboratory
from tests.cast import Cast
from tests.labs.results import Line, file_report, make_laboratory, result_of

pytestmark = pytest.mark.django_db

ADD_RANGE = "admin:labs_configuredrange_add"


@pytest.fixture
def laboratory(cast: Cast) -> SendingLaboratory:
    return make_laboratory(cast.clinic)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("page", ["change", "comment"])
def test_a_report_says_whose_it_is_before_anything_is_read_or_pressed(
    cast: Cast, laboratory: SendingLaboratory, page: str
) -> None:
    report = file_report(cast.anna, laboratory, [Line("alt", "96")])
    address = reverse(f"admin:labs_diagnosticreport_{page}", args=[report.pk])
    html = signed_in(cast.nurse).get(address).content.decode()
    whose = html.index("Testmann, Anna, born 1 January 1970")
    assert whose < html.index(result_of(report, "alt").display_name)
    assert whose < html.index("<textarea" if page == "comment" else "Mark as reviewed")


def range_form(laboratory: SendingLaboratory, **changes: Any) -> dict[str, Any]:
    said = {
        "laboratory": str(laboratory.pk),
        "analyte_key": "alt",
        "loinc": "",
        "sex": "",
        "age_from_years": "0",
        "age_to_years": "",
        "unit": "U/L",
        "low": "7",
        "high": "35",
        "source": "Handbook 2026",
        "valid_from": "2026-01-01",
        "valid_until": "",
    }
    return {**said, **changes}


def test_no_test_is_chosen_for_a_range_beforehand(
    cast: Cast, laboratory: SendingLaboratory
) -> None:
    """Saved by haste, the range of one test would judge another."""
    lab = signed_in(cast.lab)
    page = lab.get(reverse(ADD_RANGE)).content.decode()
    choices = page[page.index('name="analyte_key"') :].partition("</select>")[0]
    assert "selected" not in choices.partition('value=""')[2].partition("<option")[2]
    assert lab.post(reverse(ADD_RANGE), range_form(laboratory, analyte_key="")).status_code == 200
    with identity(system("lab-intake")):
        assert not ConfiguredRange.objects.exists()


@pytest.mark.parametrize(
    ("changes", "saved"),
    [
        ({}, True),
        ({"low": "35", "high": "7"}, False),
        ({"low": "", "high": ""}, False),
        ({"unit": "furlongs"}, False),
        ({"unit": "mmol/L"}, False),
        ({"analyte_key": "albumin", "unit": "g/L", "low": "35", "high": "52"}, True),
        ({"age_from_years": "60", "age_to_years": "40"}, False),
        ({"valid_until": "2025-01-01"}, False),
        ({"loinc": "1742-7"}, False),
    ],
)
def test_a_range_that_cannot_judge_is_refused_on_the_form(
    cast: Cast, laboratory: SendingLaboratory, changes: dict[str, str], saved: bool
) -> None:
    answer = signed_in(cast.lab).post(reverse(ADD_RANGE), range_form(laboratory, **changes))
    assert answer.status_code == (302 if saved else 200)
    with identity(system("lab-intake")):
        assert ConfiguredRange.objects.exists() is saved


def test_a_code_map_says_where_its_fields_stand_in_the_message(
    cast: Cast, laboratory: SendingLaboratory, now: datetime
) -> None:
    page = signed_in(cast.lab).get(reverse("admin:labs_codemap_add")).content.decode()
    for words in ("OBX-3.1", "OBX-3.3"):
        assert words in page
