"""The staff site: which role sees which page, whose rows, and that looks are recorded."""

import uuid
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.test import Client
from django.urls import reverse
from unfold.admin import ModelAdmin

from accounts.models import OAuthClient, Organization, User
from accounts.roles import Role
from core.db import Identity, current_identity, identity, system
from core.models import AuditEvent, Change
from patients.models import ContactPause, Patient, ProfileFact
from tests.cast import AUTHORITY, Cast, staff
from tests.tokens import api_of

pytestmark = pytest.mark.django_db

MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
SignIn = Callable[[User], Client]


def page(model: type, kind: str = "changelist", *args: object) -> str:
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_{kind}"  # type: ignore[attr-defined]
    return reverse(name, args=args)


@pytest.fixture
def signed_in(client: Client) -> SignIn:
    client.raise_request_exception = False

    def sign_in(user: User) -> Client:
        client.force_login(user)
        return client

    return sign_in


def looks(operation: str) -> list[AuditEvent]:
    with identity(system("housekeeping")):
        return list(AuditEvent.objects.filter(operation=operation).order_by("id"))


# --- who gets in ---


def test_a_visitor_is_sent_to_the_portals_own_sign_in(client: Client) -> None:
    first = client.get(reverse("admin:index"))
    assert first.status_code == 302
    second = client.get(first.headers["Location"])
    assert second.headers["Location"].startswith(reverse("account_login"))


def test_a_patient_is_refused(cast: Cast, signed_in: SignIn) -> None:
    browser = signed_in(cast.anna_user)
    assert browser.get(reverse("admin:login")).status_code == 403
    assert browser.get(page(Patient)).headers["Location"].startswith(reverse("admin:login"))


def test_staff_without_a_role_today_are_refused(
    cast: Cast, signed_in: SignIn, now: datetime
) -> None:
    cast.nurse.memberships.update(valid_until=now)
    browser = signed_in(cast.nurse)
    assert browser.get(page(Patient)).status_code == 302
    assert browser.get(reverse("admin:login")).status_code == 403


def test_no_password_is_typed_into_the_theme(cast: Cast, signed_in: SignIn) -> None:
    browser = signed_in(cast.nurse)
    moved = browser.get(reverse("admin:password_change"))
    assert moved.headers["Location"] == reverse("account_change_password")


# --- which pages, whose rows ---


@pytest.mark.parametrize("role", list(Role))
def test_every_list_answers_every_role_and_only_with_its_area(
    cast: Cast, signed_in: SignIn, role: Role
) -> None:
    browser = signed_in(staff(f"zoe-{role}", role, cast.clinic))
    assert browser.get(reverse("admin:index")).status_code == 200
    for model in MODELS:
        answer = browser.get(page(model))
        may = admin.site._registry[model].has_view_permission(answer.wsgi_request)
        assert answer.status_code == (200 if may else 403), model
        assert browser.get(page(model, "add")).status_code in (200, 403), model
        unknown = browser.get(page(model, "change", uuid.uuid4()))
        assert unknown.status_code in (302, 403), model


@pytest.mark.parametrize("role", [Role.CONTENT_EDITOR, Role.ADMINISTRATOR, Role.AUDITOR])
def test_roles_without_patient_data_open_no_patient_page(
    cast: Cast, signed_in: SignIn, role: Role
) -> None:
    browser = signed_in(staff("zoe", role, cast.clinic))
    assert browser.get(page(Patient)).status_code == 403
    assert browser.get(page(Patient, "change", cast.anna.pk)).status_code == 403


def test_a_superuser_sets_up_but_reaches_no_patient(cast: Cast, signed_in: SignIn) -> None:
    browser = signed_in(User.objects.create_superuser("root@staff.example"))
    assert browser.get(page(Organization)).status_code == 200
    assert browser.get(page(Patient)).status_code == 403


def test_a_nurse_sees_the_patients_of_her_clinic_alone(cast: Cast, signed_in: SignIn) -> None:
    shown = signed_in(cast.nurse).get(page(Patient)).content.decode()
    assert "Testmann" in shown
    assert "Probe" in shown
    assert "Muster" not in shown


def test_a_clinician_sees_her_care_team_alone(cast: Cast, signed_in: SignIn) -> None:
    shown = signed_in(cast.clinician).get(page(Patient)).content.decode()
    assert "Testmann" in shown
    assert "Probe" not in shown


@pytest.mark.parametrize("kind", ["change", "history", "delete"])
def test_a_patient_of_another_clinic_is_answered_like_one_that_does_not_exist(
    cast: Cast, signed_in: SignIn, kind: str
) -> None:
    browser = signed_in(cast.nurse)
    foreign = browser.get(page(Patient, kind, cast.carla.pk))
    absent = browser.get(page(Patient, kind, uuid.uuid4()))
    assert foreign.status_code == absent.status_code
    assert foreign.headers.get("Location") == absent.headers.get("Location")


def test_search_finds_no_patient_of_another_clinic(cast: Cast, signed_in: SignIn) -> None:
    browser = signed_in(cast.nurse)
    assert b"Carla" not in browser.get(page(Patient), {"q": "Muster"}).content
    assert b"Carla" not in browser.get(page(Patient), {"q": "900003"}).content
    assert b"Anna" in browser.get(page(Patient), {"q": "900001"}).content


def test_a_related_field_finds_own_patients_and_audits_it(cast: Cast, signed_in: SignIn) -> None:
    browser = signed_in(cast.nurse)
    query = {"app_label": "patients", "model_name": "contactpause", "field_name": "patient"}
    found = browser.get(reverse("admin:autocomplete"), {**query, "term": "Test"}).json()
    assert [row["text"] for row in found["results"]] == ["Testmann, Anna (1970-01-01)"]
    foreign = browser.get(reverse("admin:autocomplete"), {**query, "term": "Muster"}).json()
    assert foreign["results"] == []
    assert [event.patient_id for event in looks("admin.patient.search")] == [cast.anna.pk, None]


def test_the_front_desk_does_not_read_the_disease_profile(
    cast: Cast, signed_in: SignIn, now: datetime
) -> None:
    with identity(system("registration")):
        ProfileFact.objects.create(
            patient=cast.anna, kind="marker", code="HER2-secret", result="positive",
            source="Pathology", recorded_at=now,
        )  # fmt: skip
    browser = signed_in(cast.desk)
    assert browser.get(page(ProfileFact)).status_code == 403
    assert b"HER2-secret" not in browser.get(page(Patient, "change", cast.anna.pk)).content
    browser = signed_in(cast.nurse)
    assert b"HER2-secret" in browser.get(page(Patient, "change", cast.anna.pk)).content


def test_the_side_bar_shows_only_what_may_be_opened(cast: Cast, signed_in: SignIn) -> None:
    shown = signed_in(cast.nurse).get(reverse("admin:index")).content.decode()
    assert page(Patient) in shown
    assert page(Organization) not in shown
    browser = signed_in(staff("zoe", Role.ADMINISTRATOR, cast.clinic))
    shown = browser.get(reverse("admin:index")).content.decode()
    assert page(Patient) not in shown
    assert page(Organization) in shown


def test_an_administrator_sees_staff_of_her_clinic_and_no_patients_account(
    cast: Cast, signed_in: SignIn
) -> None:
    browser = signed_in(staff("zoe", Role.ADMINISTRATOR, cast.clinic))
    shown = browser.get(page(User)).content.decode()
    assert "nora@staff.example" in shown
    assert "olga@staff.example" not in shown
    assert "anna@example.org" not in shown
    assert browser.get(page(User, "change", cast.anna_user.pk)).status_code == 302


# --- what is recorded ---


def test_a_list_is_audited_for_every_patient_it_shows(cast: Cast, signed_in: SignIn) -> None:
    signed_in(cast.nurse).get(page(Patient))
    events = looks("admin.patient.list")
    assert {event.patient_id for event in events} == {cast.anna.pk, cast.brigid.pk}
    assert {(e.actor_kind, e.actor_id, e.action) for e in events} == {("staff", cast.nurse.pk, "R")}


def test_an_empty_list_is_audited_once(cast: Cast, signed_in: SignIn) -> None:
    signed_in(cast.nurse).get(page(Patient), {"q": "nobody"})
    assert [event.resource_ids for event in looks("admin.patient.list")] == [[]]


@pytest.mark.parametrize(("kind", "what"), [("change", "read"), ("history", "history")])
def test_a_record_that_is_opened_is_audited(
    cast: Cast, signed_in: SignIn, kind: str, what: str
) -> None:
    signed_in(cast.nurse).get(page(Patient, kind, cast.anna.pk))
    assert [event.patient_id for event in looks(f"admin.patient.{what}")] == [cast.anna.pk]


def test_a_refusal_is_audited(cast: Cast, signed_in: SignIn) -> None:
    signed_in(cast.lab).get(page(Patient))
    (event,) = looks("admin.patients_patient_changelist")
    assert (event.outcome, event.actor_id, event.reason_code) == (
        "denied", cast.lab.pk, "forbidden",
    )  # fmt: skip


def test_nothing_is_deleted_here(cast: Cast, signed_in: SignIn) -> None:
    browser = signed_in(cast.nurse)
    assert browser.post(page(Patient, "delete", cast.anna.pk), {"post": "yes"}).status_code == 403
    body = {"action": "delete_selected", "_selected_action": [str(cast.anna.pk)], "post": "yes"}
    browser.post(page(Patient), body)
    with identity(system("registration")):
        assert Patient.objects.filter(pk=cast.anna.pk).exists()


# --- writing through the services ---


def new_patient(cast: Cast, **changes: str) -> dict[str, str]:
    return {
        "given_name": "Nadia",
        "family_name": "Neu",
        "birth_date": "1975-03-04",
        "sex": "female",
        "language": "en",
        "zone": "Europe/Berlin",
        "organization": str(cast.clinic.pk),
        "authority": AUTHORITY,
        "record_number": "900100",
    } | changes


def test_the_desk_registers_a_patient(cast: Cast, signed_in: SignIn) -> None:
    answer = signed_in(cast.desk).post(page(Patient, "add"), new_patient(cast))
    assert answer.status_code == 302, answer.content
    with identity(system("registration")):
        made = Patient.objects.get(family_name="Neu")
        assert made.identifiers.get().value == "900100"
        assert Change.objects.filter(patient_id=made.pk).count() == 1
    entry = LogEntry.objects.get()
    assert "Neu" not in entry.object_repr + entry.change_message


def test_a_refusal_by_the_service_is_a_message_and_nothing_is_kept(
    cast: Cast, signed_in: SignIn
) -> None:
    browser = signed_in(cast.desk)
    answer = browser.post(
        page(Patient, "add"), new_patient(cast, record_number="900001"), follow=True
    )
    assert answer.status_code == 200
    assert b"This number belongs to another patient already." in answer.content
    with identity(system("registration")):
        assert not Patient.objects.filter(family_name="Neu").exists()


def test_the_desk_enrols_at_her_own_clinic_only(cast: Cast, signed_in: SignIn) -> None:
    body = new_patient(cast, organization=str(cast.other_clinic.pk))
    answer = signed_in(cast.desk).post(page(Patient, "add"), body)
    assert answer.status_code == 200
    assert b"Select a valid choice" in answer.content


def test_a_clinician_reads_but_does_not_register(cast: Cast, signed_in: SignIn) -> None:
    assert signed_in(cast.clinician).get(page(Patient, "add")).status_code == 403


def test_a_correction_is_logged_by_field_and_never_by_value(cast: Cast, signed_in: SignIn) -> None:
    body = new_patient(cast, given_name="Anna", family_name="Testfrau", birth_date="1970-01-01")
    for rows in ("identifiers", "enrolments", "care_team"):
        body |= {f"{rows}-TOTAL_FORMS": "0", f"{rows}-INITIAL_FORMS": "0"}
    answer = signed_in(cast.desk).post(page(Patient, "change", cast.anna.pk), body)
    assert answer.status_code == 302, answer.content
    (event,) = looks("patients.correct")
    assert event.fields == ["family_name"]
    entry = LogEntry.objects.get()
    assert "Testfrau" not in entry.object_repr + entry.change_message
    assert "Family name" in entry.change_message


def test_the_nurse_pauses_contact(cast: Cast, signed_in: SignIn) -> None:
    body = {
        "patient": str(cast.anna.pk),
        "reason": "in-hospital",
        "starts_at_0": "2026-11-22",
        "starts_at_1": "09:00:00",
        "ends_at_0": "",
        "ends_at_1": "",
    }
    answer = signed_in(cast.nurse).post(page(ContactPause, "add"), body)
    assert answer.status_code == 302, answer.content
    with identity(system("registration")):
        assert ContactPause.objects.get().recorded_by == cast.nurse


def test_an_organization_is_activated_only_when_nothing_is_missing(
    cast: Cast, signed_in: SignIn
) -> None:
    Organization.objects.filter(pk=cast.clinic.pk).update(is_active=False)
    browser = signed_in(User.objects.create_superuser("root@staff.example"))
    chosen = {"action": "activate", "_selected_action": [str(cast.clinic.pk)]}
    answer = browser.post(page(Organization), chosen, follow=True)
    assert b"Still missing: the holidays of the coming year, a duty roster" in answer.content
    cast.clinic.refresh_from_db()
    assert not cast.clinic.is_active


def test_an_administrator_closes_an_account_and_its_tokens_end(
    cast: Cast, signed_in: SignIn
) -> None:
    api = api_of(cast.nurse, "staff")
    browser = signed_in(staff("zoe", Role.ADMINISTRATOR, cast.clinic))
    chosen = {"action": "deactivate", "_selected_action": [str(cast.nurse.pk)]}
    browser.post(page(User), chosen)
    assert api.get("me").status_code == 401


def test_an_administrator_closes_no_account_of_another_clinic(
    cast: Cast, signed_in: SignIn
) -> None:
    browser = signed_in(staff("zoe", Role.ADMINISTRATOR, cast.clinic))
    for user in (cast.other_nurse, cast.anna_user):
        browser.post(page(User), {"action": "deactivate", "_selected_action": [str(user.pk)]})
        user.refresh_from_db()
        assert user.is_active


# --- the site itself ---


def test_pages_that_libraries_bring_are_left_out() -> None:
    assert {model._meta.app_label for model in MODELS} <= {
        "accounts", "patients", "notifications", "worklist", "labs", "appointments", "symptoms",
        "education", "core",
    }  # fmt: skip
    assert OAuthClient in MODELS


def test_a_page_of_ours_on_another_base_is_refused() -> None:
    class Careless(ModelAdmin):
        """A page that would ask Django's permissions."""

    Careless.__module__ = "labs.admin"
    with pytest.raises(ImproperlyConfigured, match="RoleModelAdmin"):
        admin.site.register(AuditEvent, Careless)


def test_rendering_happens_inside_the_identity(
    cast: Cast, signed_in: SignIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Identity | None] = []

    def figures(request: Any, context: dict[str, Any]) -> dict[str, Any]:
        return {**context, "figures": LazyFigures(seen)}

    monkeypatch.setattr("portal.dashboard.callback", figures)
    signed_in(cast.nurse).get(reverse("admin:index"))
    assert [who.user_id for who in seen if who is not None] == [cast.nurse.pk]


class LazyFigures:
    """Looked at by the template alone, that is, while it renders."""

    def __init__(self, seen: list[Identity | None]) -> None:
        self._seen = seen

    def __bool__(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        self._seen.append(current_identity())
        return iter(())


def test_two_users_in_turn_on_one_connection_see_their_own(cast: Cast) -> None:
    first, second = Client(), Client()
    first.force_login(cast.nurse)
    second.force_login(cast.other_nurse)
    for _ in range(3):
        assert b"Testmann" in first.get(page(Patient)).content
        shown = second.get(page(Patient)).content
        assert b"Muster" in shown
        assert b"Testmann" not in shown
    assert len([c for c in connections.all(initialized_only=True) if c.alias == "default"]) == 1


def test_staff_pages_carry_their_own_policy_and_are_never_stored(
    cast: Cast, signed_in: SignIn
) -> None:
    answer = signed_in(cast.nurse).get(page(Patient))
    policy = answer.headers["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-eval'" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["Cache-Control"] == "no-store, private"
    sign_in = Client().get(reverse("account_login"))
    assert "unsafe" not in sign_in.headers["Content-Security-Policy"]
