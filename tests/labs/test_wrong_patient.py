"""A laboratory says "wrong patient": gone at once everywhere, and those who saw it are listed."""

from datetime import datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from core.db import identity, system
from labs.models import DiagnosticReport, Observation
from tests.cast import Cast
from tests.labs.conftest import LABS
from tests.labs.messages import Obr, Obx, laboratory, oru, send
from tests.tokens import api_of
from worklist.models import Evidence, WorkItem

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def lab(cast: Cast) -> None:
    laboratory(cast.clinic)


def withdraw(now: datetime) -> None:
    send(oru(Obr([Obx("31", status="W")], resulted="20261121102500+0100", status="C")), now)


def look(user: User, patient: str, kind: str) -> None:
    api = api_of(user, LABS)
    (report,) = api.get(f"patients/{patient}/reports").json()["items"]
    address = {
        "detail": f"patients/{patient}/reports/{report['id']}",
        "list": f"patients/{patient}/results",
        "trend": f"patients/{patient}/analytes/alt/trend",
    }[kind]
    assert api.get(address).status_code == 200


def viewers() -> set[tuple[Any, str]]:
    with identity(system("worklist")):
        item = WorkItem.objects.get(concern="privacy")
        seen = Evidence.objects.filter(item=item, kind="viewer")
        return set(seen.values_list("reference", "summary"))


@pytest.mark.parametrize("kind", ["detail", "list", "trend"])
def test_whoever_opened_it_on_a_phone_is_listed(cast: Cast, now: datetime, kind: str) -> None:
    send(oru(Obr([Obx("31")])), now)
    look(cast.anna_user, "me", kind)
    withdraw(now)
    assert viewers() == {(cast.anna_user.pk, "opened it (patient)")}


def test_caregivers_and_staff_who_opened_it_are_listed_too(cast: Cast, now: datetime) -> None:
    send(oru(Obr([Obx("31")])), now)
    look(cast.dora, str(cast.anna.id), "detail")
    with identity(system("lab-intake")):
        report = DiagnosticReport.objects.get()
        result = Observation.objects.get()
    pages = {
        cast.nurse: reverse("admin:labs_diagnosticreport_change", args=[report.pk]),
        cast.clinician: reverse("admin:labs_observation_change", args=[result.pk]),
    }
    for user, address in pages.items():
        client = Client()
        client.force_login(user)
        assert client.get(address).status_code == 200
    withdraw(now)
    assert viewers() == {
        (cast.dora.pk, "opened it (proxy)"),
        (cast.nurse.pk, "opened it (staff)"),
        (cast.clinician.pk, "opened it (staff)"),
    }


def test_nobody_saw_it_and_the_incident_is_there_all_the_same(cast: Cast, now: datetime) -> None:
    send(oru(Obr([Obx("31")])), now)
    withdraw(now)
    assert viewers() == set()
    with identity(system("worklist")):
        item = WorkItem.objects.get(concern="privacy")
    assert (item.patient_id, item.urgency, item.owner_team, item.organization_id) == (
        cast.anna.id,
        "SAME_DAY",
        "nurse",
        cast.clinic.pk,
    )


def test_a_result_that_waits_for_release_is_an_incident_too(cast: Cast, now: datetime) -> None:
    """Staff read what is not released yet, and it lay in the wrong record all the same."""
    send(oru(Obr([Obx("31")])), now)
    with identity(system("lab-intake")):
        Observation.objects.update(visible_from=None, release_basis="")
        result = Observation.objects.get()
    client = Client()
    client.force_login(cast.clinician)
    client.get(reverse("admin:labs_observation_change", args=[result.pk]))
    withdraw(now)
    assert viewers() == {(cast.clinician.pk, "opened it (staff)")}


def test_who_saw_another_result_is_not_listed(cast: Cast, now: datetime) -> None:
    send(oru(Obr([Obx("99", code="1920-8", name="AST")], filler="FL2")), now)
    look(cast.anna_user, "me", "list")
    send(oru(Obr([Obx("31")])), now)
    withdraw(now)
    assert viewers() == set()


def test_it_is_gone_from_every_answer_at_once(cast: Cast, now: datetime) -> None:
    send(oru(Obr([Obx("31")])), now)
    api = api_of(cast.anna_user, LABS)
    (report,) = api.get("patients/me/reports").json()["items"]
    withdraw(now)
    assert api.get("patients/me/reports").json()["items"] == []
    assert api.get("patients/me/results").json()["items"] == []
    assert api.get(f"patients/me/reports/{report['id']}").status_code == 404
    trend = api.get("patients/me/analytes/alt/trend").json()
    assert [point for line in trend.get("lines", []) for point in line["points"]] == []
