"""Templates of comments: two people stand behind each, and a clinic has its own."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core.db import identity, system
from labs.models import (
    CommentTemplate,
    DiagnosticReport,
    SendingLaboratory,
)
from labs.services.templates import write_template
from patients.viewer import staff_viewer
from tests.cast import Cast
from tests.labs.results import Line, file_report, result_of
from tests.labs.test_reading_admin import page, signed_in
from tests.together import together

pytestmark = pytest.mark.django_db

TEMPLATES = "/admin/labs/commenttemplate/"


@pytest.fixture
def nurse(cast: Cast) -> Client:
    return signed_in(cast.nurse)


@pytest.fixture
def clinician(cast: Cast) -> Client:
    return signed_in(cast.clinician)


@pytest.fixture
def report(cast: Cast, laboratory: SendingLaboratory) -> DiagnosticReport:
    return file_report(cast.anna, laboratory, [Line("alt", "96"), Line("ast", "20")])


def address(name: str, pk: Any) -> str:
    return reverse(f"admin:labs_diagnosticreport_{name}", args=[pk])


def written(client: Client, cast: Cast, **changes: str) -> Any:
    body = {
        "organization": str(cast.clinic.pk),
        "key": "stable",
        "language": "en",
        "title": "Stable",
        "text": "{test}: {value} {unit} of {collected_on}. Questions? {phone}",
        **changes,
    }
    return client.post(f"{TEMPLATES}add/", body)


def templates() -> list[tuple[int, bool]]:
    with identity(system("lab-intake")):
        return list(CommentTemplate.objects.order_by("version").values_list("version", "is_active"))


def test_a_template_is_used_once_another_person_approved_it(
    cast: Cast, report: DiagnosticReport, nurse: Client, clinician: Client
) -> None:
    assert written(nurse, cast).status_code == 302
    assert templates() == [(1, False)]
    with identity(system("lab-intake")):
        template = CommentTemplate.objects.get()
    url = f"{TEMPLATES}{template.pk}/change/"
    steps = re.findall(r'name="([a-z_]*_approve)"', page(clinician, url))
    assert len(steps) == 1
    assert "_approve" not in page(nurse, url)
    nurse.post(url, {steps[0]: "1"})
    assert templates() == [(1, False)]
    assert "Stable (en)" not in page(nurse, address("comment", report.pk))
    clinician.post(url, {steps[0]: "1"})
    assert templates() == [(1, True)]
    alt = result_of(report, "alt")
    chosen = {"result": str(alt.pk), "template": str(template.pk)}
    shown = nurse.get(address("comment", report.pk), chosen).content.decode()
    assert f"ALT: 96 U/L of 2 November 2026. Questions? {cast.clinic.phone_day}" in shown
    assert written(nurse, cast, text="Other words.").status_code == 302
    with identity(system("lab-intake")):
        second = CommentTemplate.objects.get(version=2)
    clinician.post(f"{TEMPLATES}{second.pk}/change/", {steps[0]: "1"})
    assert templates() == [(1, False), (2, True)]


@pytest.mark.parametrize("text", ["{name}", "{value", "Rest: your team has seen it.", " "])
def test_a_template_that_promises_or_asks_for_more_is_refused(
    cast: Cast, nurse: Client, text: str
) -> None:
    assert written(nurse, cast, text=text).status_code == 200
    assert templates() == []


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_two_who_write_the_same_template_at_once_make_one_each_or_one(
    cast: Cast, now: datetime
) -> None:
    def writer(actor: User) -> Callable[[], str]:
        def step() -> str:
            with identity(staff_viewer(user=actor, now=now).identity):
                template = CommentTemplate(
                    organization=cast.clinic, key="stable", title="Stable", text="Words."
                )
                write_template(template, actor=actor, now=now)
            return "written"

        return step

    told = together([writer(cast.nurse), writer(cast.clinician)])
    assert set(told) <= {"template-written-at-once", "written"}
    assert [version for version, _ in templates()] == list(range(1, told.count("written") + 1))


def test_templates_belong_to_a_clinic(cast: Cast, nurse: Client) -> None:
    assert written(nurse, cast).status_code == 302
    assert "Stable" in page(nurse, TEMPLATES)
    assert "Stable" not in page(signed_in(cast.other_nurse), TEMPLATES)
    assert written(nurse, cast, organization=str(cast.other_clinic.pk)).status_code == 200
    assert len(templates()) == 1
    for user in (cast.desk, cast.lab):
        assert signed_in(user).get(TEMPLATES).status_code == 403
