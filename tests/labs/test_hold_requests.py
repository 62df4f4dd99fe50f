"""She asks herself that a report is not shown to her for a while."""

from datetime import timedelta
from typing import Any

import pytest

from core.clock import utc_now
from core.db import identity, system
from core.models import AuditEvent
from labs.models import DiagnosticReport, ReleaseHold
from labs.services import holding
from patients.viewer import staff_viewer
from tests.cast import Cast
from tests.labs.conftest import LABS
from tests.labs.messages import Obx, laboratory
from tests.labs.releasing import deliver, lift, place, the_report, the_result
from tests.tokens import Api, api_of

# Row security goes by the time of the transaction: what is released here needs real ones.
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


@pytest.fixture
def report(cast: Cast) -> DiagnosticReport:
    laboratory(cast.clinic)
    deliver(utc_now(), Obx("31"))
    return the_report()


def ask(api: Api, report: DiagnosticReport, days: float = 3, patient: str = "me") -> Any:
    until = (utc_now() + timedelta(days=days)).isoformat()
    body = {"report_id": str(report.id), "until": until}
    return api.post(f"patients/{patient}/hold-requests", body)


def shown(api: Api, patient: str = "me") -> int:
    return len(api.get(f"patients/{patient}/results").json()["items"])


def test_it_leaves_her_pages_and_her_caregivers_and_comes_back(
    cast: Cast, as_anna: Api, report: DiagnosticReport
) -> None:
    dora = api_of(cast.dora, LABS)
    asked = ask(as_anna, report)
    assert asked.status_code == 201, asked.content
    assert (shown(as_anna), shown(dora, str(cast.anna.id))) == (0, 0)
    (item,) = as_anna.get("patients/me/hold-requests").json()["items"]
    assert item == asked.json()
    ended = as_anna.post(f"patients/me/hold-requests/{item['id']}/end", {})
    assert ended.status_code == 200
    assert (shown(as_anna), shown(dora, str(cast.anna.id))) == (1, 1)
    assert the_result().release_basis == "patient_request"
    assert as_anna.get("patients/me/hold-requests").json()["items"] == []
    again = as_anna.post(f"patients/me/hold-requests/{item['id']}/end", {})
    assert (again.status_code, again.json()["code"]) == (409, "hold-ended")


@pytest.mark.parametrize(("days", "status"), [(-1, 422), (13.9, 201), (14.1, 422), (10_000, 422)])
def test_it_is_bounded(as_anna: Api, report: DiagnosticReport, days: float, status: int) -> None:
    assert ask(as_anna, report, days).status_code == status
    assert shown(as_anna) == (0 if status == 201 else 1)


def test_it_is_hers_alone(cast: Cast, as_anna: Api, report: DiagnosticReport) -> None:
    dora, brigid = api_of(cast.dora, LABS), api_of(cast.brigid.user, LABS)
    assert ask(dora, report, patient=str(cast.anna.id)).status_code == 404
    assert ask(brigid, report).status_code == 404
    asked = ask(as_anna, report).json()
    assert dora.get(f"patients/{cast.anna.id}/hold-requests").status_code == 404
    for api, patient in ((dora, str(cast.anna.id)), (brigid, "me")):
        ended = api.post(f"patients/{patient}/hold-requests/{asked['id']}/end", {})
        assert ended.status_code == 404
    assert shown(as_anna) == 0


def test_what_she_cannot_see_she_cannot_ask_about(
    cast: Cast, as_anna: Api, report: DiagnosticReport
) -> None:
    """The answer is the one for what does not exist: it must not tell that it does."""
    placed = place(cast, report, utc_now())
    refused = ask(as_anna, report)
    assert refused.status_code == 404
    assert as_anna.get("patients/me/hold-requests").json()["items"] == []
    ended = as_anna.post(f"patients/me/hold-requests/{placed.id}/end", {})
    assert ended.status_code == 404
    with identity(system("release")):
        assert ReleaseHold.objects.get().lifted_at is None


def test_a_clinician_does_not_end_her_wish(
    cast: Cast, as_anna: Api, report: DiagnosticReport
) -> None:
    ask(as_anna, report)
    with identity(system("release")):
        wish = ReleaseHold.objects.get()
    now = utc_now()
    with pytest.raises(holding.HeldByRequest):
        lift(cast, wish, now)
    clara = staff_viewer(user=cast.clinician, now=now).identity
    with identity(clara), pytest.raises(holding.NothingToRelease):
        holding.release_now(report_id=report.id, actor=cast.clinician, reason="x", now=now)
    assert shown(as_anna) == 0


def test_her_end_does_not_end_a_hold_of_her_clinicians(
    cast: Cast, as_anna: Api, report: DiagnosticReport
) -> None:
    asked = ask(as_anna, report).json()
    place(cast, report, utc_now())
    ended = as_anna.post(f"patients/me/hold-requests/{asked['id']}/end", {})
    assert ended.status_code == 200
    assert shown(as_anna) == 0


def test_it_is_recorded_as_hers(cast: Cast, as_anna: Api, report: DiagnosticReport) -> None:
    asked = ask(as_anna, report).json()
    with identity(system("housekeeping")):
        event = AuditEvent.objects.get(operation="labs.hold-requests", action="C")
    assert (event.actor_id, [str(one) for one in event.resource_ids]) == (
        cast.anna_user.pk,
        [asked["id"]],
    )
