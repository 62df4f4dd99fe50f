"""The shipped questionnaire, a weekly plan, and short ways to answer."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import User
from accounts.scopes import Scope, areas_of
from core.db import identity, system
from patients.models import Patient
from patients.viewer import Viewer
from symptoms.answers import Sent
from symptoms.models import CheckIn, CheckInPlan, QuestionnaireVersion
from symptoms.services import create_plan, load_questionnaire, plan_check_ins
from symptoms.services.questionnaires import SHIPPED
from tests.cast import Cast

MONDAY = date(2026, 11, 23)
AT_TEN = datetime.fromisoformat("2026-11-23T09:00:00+00:00")
"""Monday, ten o'clock in Berlin; the clinic is open."""

Planned = Callable[..., CheckInPlan]


@pytest.fixture
def weekly(db: None, now: datetime) -> QuestionnaireVersion:
    return load_questionnaire(SHIPPED[0], now=now)[0]


@pytest.fixture
def plan_of(cast: Cast, now: datetime, weekly: QuestionnaireVersion) -> Planned:
    """Make a plan; anna's, Mondays at ten in Berlin unless said otherwise."""

    def make(patient: Patient | None = None, **changes: Any) -> CheckInPlan:
        terms: dict[str, Any] = {
            "patient_id": (patient or cast.anna).id,
            "questionnaire_key": "weekly-general",
            "organization_id": cast.clinic.id,
            "iso_weekday": 1,
            "hour": 10,
            "zone": "Europe/Berlin",
            "starts_on": MONDAY,
            "now": now,
        } | changes
        with identity(system("check-ins")):
            return create_plan(**terms)

    return make


@pytest.fixture
def check_in(plan_of: Planned) -> CheckIn:
    """Anna's check-in of Monday, open."""
    plan_of()
    assert plan_check_ins(now=AT_TEN).planned == 1
    return check_ins()[0]


def check_ins(**terms: Any) -> list[CheckIn]:
    with identity(system("check-ins")):
        rows = CheckIn.objects.filter(**terms).order_by("due_on")
        return list(rows.select_related("version__questionnaire", "plan"))


def viewer_of(patient: Patient, user: User | None = None, language: str = "en") -> Viewer:
    """Return the patient's viewer, or a caregiver's when `user` is somebody else."""
    assert patient.user is not None
    scopes = frozenset({Scope.SYMPTOMS_READ, Scope.SYMPTOMS_WRITE})
    return Viewer(
        kind="patient" if user is None else "proxy",
        user_id=(user or patient.user).pk,
        patient_id=patient.id,
        scopes=frozenset(map(str, scopes)),
        areas=areas_of(scopes),
        language=language,
        zone=patient.zone,
    )


def levels(**values: Any) -> list[Sent]:
    """Return a complete set of answers: nothing ticked, and the levels given."""
    ticked = {link: values.pop(link, ()) for link in ("now", "this_week")}
    sent = [Sent(link, codes=tuple(codes)) for link, codes in ticked.items()]
    return sent + [
        Sent(link.replace("__", "."), value=Decimal(str(value))) for link, value in values.items()
    ]
