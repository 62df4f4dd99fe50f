"""Who was shown a result that was withdrawn or corrected: the auditor's list, and who is told."""

from datetime import datetime

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import User
from accounts.roles import Role
from core.clock import utc_now
from core.db import identity, system
from core.models import AuditEvent, Event
from labs.models import DiagnosticReport, Observation
from labs.notices import recheck_result_notice
from labs.services.result_notices import on_results_filed
from notifications.models import Notification
from tests.cast import Cast, staff
from tests.labs.conftest import LABS
from tests.labs.messages import Obr, Obx, laboratory, oru, send
from tests.labs.reviewing import handed
from tests.tokens import api_of

pytestmark = pytest.mark.django_db

LIST = "admin:labs_changedresult_changelist"
CORRECTED = "20261121102500+0100"


@pytest.fixture(autouse=True)
def lab(cast: Cast) -> None:
    laboratory(cast.clinic)


@pytest.fixture
def auditor(cast: Cast) -> User:
    return staff("audrey", Role.AUDITOR, cast.clinic)


def page_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def file(now: datetime, value: str, status: str = "F") -> None:
    resulted = "20261120102500+0100" if status == "F" else CORRECTED
    send(oru(Obr([Obx(value, status=status)], resulted=resulted, status=status)), now)


def first_version() -> Observation:
    with identity(system("lab-intake")):
        return Observation.objects.get(version=1)


def read_on_a_phone(user: User, patient: str) -> None:
    assert api_of(user, LABS).get(f"patients/{patient}/results").status_code == 200


def read_as_staff(user: User) -> None:
    with identity(system("lab-intake")):
        report = DiagnosticReport.objects.get()
    address = reverse("admin:labs_diagnosticreport_change", args=[report.pk])
    assert page_of(user).get(address).status_code == 200


def shown_to(auditor: User) -> str:
    address = reverse("admin:labs_changedresult_change", args=[first_version().pk])
    answer = page_of(auditor).get(address)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.parametrize("status", ["C", "W", "D"])
def test_an_auditor_reads_who_was_shown_it_in_which_role_and_where(
    cast: Cast, now: datetime, auditor: User, status: str
) -> None:
    file(now, "31")
    read_on_a_phone(cast.anna_user, "me")
    read_on_a_phone(cast.dora, str(cast.anna.id))
    read_as_staff(cast.nurse)
    file(now, "99", status)
    page = shown_to(auditor)
    assert "Dora" in page
    assert "nora" in page
    for words in ("The patient", "Caregiver", "Nurse", "staff site", "Our own app on a phone"):
        assert words in page, words


def test_the_list_names_no_patient_no_test_and_no_value(
    cast: Cast, now: datetime, auditor: User
) -> None:
    file(now, "31")
    read_on_a_phone(cast.anna_user, "me")
    file(now, "99", "W")
    pages = page_of(auditor).get(reverse(LIST)).content.decode(), shown_to(auditor)
    for page in pages:
        assert "wrong patient" in page
        for secret in ("Testmann", "Anna", "ALT", "1742-6", "31 U/L"):
            assert secret not in page, secret


def test_who_read_only_the_new_version_was_not_shown_the_old_one(
    cast: Cast, now: datetime, auditor: User
) -> None:
    file(now, "31")
    file(now, "99", "C")
    read_on_a_phone(cast.dora, str(cast.anna.id))
    assert "Dora" not in shown_to(auditor)
    assert "Nobody was shown it" in shown_to(auditor)


def test_the_list_has_what_changed_and_nothing_else(
    cast: Cast, now: datetime, auditor: User
) -> None:
    file(now, "31")
    empty = page_of(auditor).get(reverse(LIST)).content.decode()
    assert "Nothing was withdrawn or corrected" in empty
    untouched = reverse("admin:labs_changedresult_change", args=[first_version().pk])
    assert page_of(auditor).get(untouched).status_code == 302
    file(now, "99", "C")
    assert page_of(auditor).get(reverse(LIST)).content.decode().count(untouched) == 1


def test_the_look_itself_is_recorded(cast: Cast, now: datetime, auditor: User) -> None:
    file(now, "31")
    file(now, "99", "W")
    shown_to(auditor)
    with identity(system("privacy-incident")):
        event = AuditEvent.objects.get(operation="admin.changedresult.read")
    assert (event.actor_id, event.actor_kind) == (auditor.pk, "staff")
    assert (event.patient_id, event.resource_ids) == (cast.anna.id, [first_version().pk])


@pytest.mark.parametrize("who", ["nurse", "clinician", "lab", "desk"])
def test_nobody_else_of_the_staff_opens_it(cast: Cast, now: datetime, who: str) -> None:
    file(now, "31")
    file(now, "99", "W")
    page = reverse("admin:labs_changedresult_change", args=[first_version().pk])
    for address in (reverse(LIST), page):
        assert page_of(getattr(cast, who)).get(address).status_code == 403


# --- told that it changed ---------------------------------------------------------------------


def told(now: datetime) -> set[tuple[str, str]]:
    """Deliver what was filed; return who is told that something changed, and where."""
    with identity(system("events")):
        filed = list(Event.objects.filter(type="labs.result.filed").order_by("id"))
    for event in filed:
        on_results_filed(handed(event, now))
    with identity(system("notifications")):
        rows = Notification.objects.filter(purpose="result-corrected").select_related("recipient")
        return {
            (row.recipient.given_name, row.channel)
            for row in rows
            if recheck_result_notice(row, now) is None
        }


@pytest.mark.parametrize("status", ["W", "D"])
def test_who_read_what_was_withdrawn_is_told_that_it_changed(
    cast: Cast, now: datetime, status: str
) -> None:
    """The whole report is gone: nobody else may hear that it existed."""
    file(now, "31")
    read_on_a_phone(cast.dora, str(cast.anna.id))
    file(now, "31", status)
    assert {name for name, _ in told(now)} == {"Dora"}


def test_a_caregiver_who_read_the_old_value_is_told_that_it_changed(
    cast: Cast, now: datetime
) -> None:
    file(now, "31")
    read_on_a_phone(cast.dora, str(cast.anna.id))
    file(now, "99", "C")
    assert told(now) == {(name, way) for name in ("Anna", "Dora") for way in ("inbox", "email")}


def test_she_is_told_that_what_she_read_was_withdrawn(cast: Cast, now: datetime) -> None:
    file(now, "31")
    read_on_a_phone(cast.anna_user, "me")
    file(now, "31", "W")
    assert {name for name, _ in told(now)} == {"Anna"}


# --- staff --------------------------------------------------------------------------------------


# The pages go by the real clock.


def changed_for(user: User) -> tuple[int, bool]:
    """How many reports her list has, and whether the front page calls for it."""
    listed = (
        page_of(user)
        .get(reverse("admin:labs_diagnosticreport_changelist") + "?changed=yes")
        .context_data
    )
    front = page_of(user).get(reverse("admin:index")).context_data
    figure = next(one for one in front["figures"] if one.title == "Changed after you read them")
    return len(listed["cl"].result_list), figure.alarming


def test_staff_who_read_the_old_value_find_it_on_their_front_page(cast: Cast) -> None:
    file(utc_now(), "31")
    read_as_staff(cast.nurse)
    assert changed_for(cast.nurse) == (0, False)
    file(utc_now(), "99", "C")
    assert changed_for(cast.nurse) == (1, True)
    assert changed_for(cast.clinician) == (0, False)
    read_as_staff(cast.nurse)
    assert changed_for(cast.nurse) == (0, False)


@pytest.mark.parametrize(
    "page", ["labs_observation_changelist", "trend", "labs_observation_change"]
)
def test_wherever_staff_read_it(cast: Cast, page: str) -> None:
    file(utc_now(), "31")
    address = {
        "labs_observation_changelist": lambda: reverse(f"admin:{page}"),
        "trend": lambda: reverse("admin:labs_observation_trend", args=[cast.anna.pk, "alt"]),
        "labs_observation_change": lambda: reverse(f"admin:{page}", args=[first_version().pk]),
    }[page]()
    assert page_of(cast.nurse).get(address).status_code == 200
    file(utc_now(), "99", "W")
    assert changed_for(cast.nurse) == (1, True)
