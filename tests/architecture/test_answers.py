"""What leaves the system says what it should and nothing else, and every look is recorded.

Each of these has been seen red with a planted bug of tests/mutants/.
"""

import io
import logging
import logging.config
import sys

import pytest
import time_machine
from django.conf import settings
from django.db import DatabaseError
from rest_framework import serializers

from appointments.api.serializers import AppointmentItem
from core.db import identity, system
from core.models import AuditEvent, IdempotencyRecord
from labs import selectors
from labs.api.serializers import Report, ReportDetail, Result
from patients.models import Patient
from tests.appointments.factories import book, surgery
from tests.cast import Cast, make_cast
from tests.labs.results import Line, file_report, make_laboratory
from tests.tokens import Api, api_of, viewer_of

SECRET = "record 900001 of Testmann"


def undeclared(shown: object, declared: serializers.BaseSerializer) -> list[str]:
    """Return the members of `shown` that the contract does not name, and those it lacks."""
    if isinstance(declared, serializers.ListSerializer):
        assert isinstance(shown, list)
        return [name for item in shown for name in undeclared(item, declared.child)]
    assert isinstance(shown, dict)
    assert isinstance(declared, serializers.Serializer)
    wrong = sorted(set(shown) ^ set(declared.fields))
    for name, field in declared.fields.items():
        if isinstance(field, serializers.BaseSerializer) and shown.get(name) is not None:
            wrong += [f"{name}.{inner}" for inner in undeclared(shown[name], field)]
    return wrong


@pytest.mark.django_db
def test_results_show_what_the_contract_declares_and_nothing_else(cast: Cast) -> None:
    laboratory = make_laboratory(cast.clinic)
    report = file_report(cast.anna, laboratory, [Line("alt", "96"), Line("calcium_total", "11.9")])
    api = api_of(cast.anna_user)
    results = api.get("patients/me/results").json()["items"]
    reports = api.get("patients/me/reports").json()["items"]
    detail = api.get(f"patients/me/reports/{report.id}").json()
    assert len(results) == len(detail["results"]) == 2
    assert undeclared(results, Result(many=True)) == []
    assert undeclared(reports, Report(many=True)) == []
    assert undeclared(detail, ReportDetail()) == []


@pytest.mark.django_db
def test_visits_show_what_the_contract_declares_and_nothing_else(cast: Cast, now) -> None:
    with time_machine.travel(now, tick=False):
        book(cast.anna_user, surgery(cast.clinic).opening(9), now)
        visits = api_of(cast.anna_user).get("patients/me/appointments").json()["items"]
    assert len(visits) == 1
    assert undeclared(visits, AppointmentItem(many=True)) == []


@pytest.mark.django_db
def test_the_selectors_keep_strangers_out_without_row_security(cast: Cast, now) -> None:
    """The first wall alone: the identity in force may read everybody's results."""
    laboratory = make_laboratory(cast.clinic)
    file_report(cast.anna, laboratory, [Line("alt", "20")])
    file_report(cast.brigid, laboratory, [Line("alt", "777.125")])
    viewer = viewer_of(cast.anna_user)
    with identity(system("lab-intake")):
        mine = [row.value_text for row in selectors.observations_for(viewer, now=now)]
        reports = {row.patient_id for row in selectors.reports_for(viewer, now=now)}
    assert mine == ["20"]
    assert reports == {cast.anna.id}


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["", "/results", "/reports", "/analytes", "/appointments"])
def test_every_way_of_looking_is_recorded(cast: Cast, path: str) -> None:
    api = api_of(cast.anna_user)

    def looks() -> int:
        with identity(system("housekeeping")):
            return AuditEvent.objects.filter(patient_id=cast.anna.id, outcome="success").count()

    def recorded(api: Api, method: str, status: int, **headers: str) -> None:
        before = looks()
        assert api.call(method, f"patients/me{path}", **headers).status_code == status
        assert looks() == before + 1

    recorded(api, "GET", 200)
    recorded(api, "HEAD", 200)
    etag = api.get(f"patients/me{path}").headers["ETag"]
    recorded(api, "GET", 304, **{"If-None-Match": etag})


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_a_change_whose_answer_cannot_be_kept_does_not_happen(
    now, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a client that asks again after a lost answer would change things twice."""

    def fails(*args: object, **kwargs: object) -> None:
        raise DatabaseError

    desk = api_of(make_cast(now).desk, "staff")
    answer = IdempotencyRecord._meta.get_field("answer")
    monkeypatch.setattr(answer, "get_db_prep_save", fails)
    body = {"given_name": "Nadia", "family_name": "Neu", "birth_date": "1975-03-04"}
    assert desk.post("staff/patients", body).status_code >= 500
    with identity(system("registration")):
        assert not Patient.objects.filter(family_name="Neu").exists()


@pytest.mark.parametrize("name", ["django.db", "celery.worker", "labs.services.intake"])
def test_the_text_of_an_exception_is_never_logged(name: str) -> None:
    """Whoever logs it: the text of a database error holds the values of the row."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    made = logging.config.DictConfigurator(settings.LOGGING)
    handler.setFormatter(
        made.configure_formatter(dict(settings.LOGGING["formatters"]["structured"]))
    )
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    try:
        raise ValueError(SECRET)
    except ValueError:
        logger.error("filing.failed", exc_info=sys.exc_info())
    finally:
        logger.removeHandler(handler)
    assert "ValueError" in said.getvalue()
    assert "900001" not in said.getvalue()
    assert "Testmann" not in said.getvalue()
