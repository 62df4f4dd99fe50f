"""Accounts, roles, clients and organizations, by their services."""

from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.db import IntegrityError, transaction

from accounts import services
from accounts.adapters import MFAAdapter
from accounts.models import DutyShift, Holiday, OAuthClient, OpeningHours, Organization, User
from accounts.roles import Role
from core.db import identity, system
from core.errors import InvalidInput, NotFound
from core.models import AuditEvent
from tests.cast import Cast
from tests.tokens import api_of

pytestmark = pytest.mark.django_db

GOOD = "seven quiet linden trees"


def codes(caught: pytest.ExceptionInfo[Any]) -> list[tuple[str, str]]:
    return [(error.field, error.code) for error in caught.value.errors]


def test_an_account_has_its_address_verified_and_lower_case(now: datetime) -> None:
    user = services.open_account(email=" Anna@Example.ORG ", password=GOOD, now=now)
    assert user.email == "anna@example.org"
    assert user.check_password(GOOD)
    assert EmailAddress.objects.get(user=user).verified


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("fourteen chars", "password_too_short"),
        ("anna.testmann@example", "password_too_similar"),
    ],
)
def test_a_weak_password_is_refused(now: datetime, password: str, code: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        services.open_account(email="anna.testmann@example.org", password=password, now=now)
    assert ("password", code) in codes(caught)


def test_fifteen_characters_are_enough(now: datetime) -> None:
    assert services.open_account(email="a@example.org", password="x7 quiet linden", now=now)


def test_an_address_opens_one_account_whatever_its_case(now: datetime) -> None:
    services.open_account(email="anna@example.org", now=now)
    with pytest.raises(services.EmailInUse) as caught:
        services.open_account(email="ANNA@example.org", now=now)
    assert "anna" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_unknown_zone_is_refused(now: datetime) -> None:
    with pytest.raises(InvalidInput):
        services.open_account(email="a@example.org", zone="Mars/Olympus", now=now)


def test_an_appointment_makes_a_member_of_staff(cast: Cast, now: datetime) -> None:
    user = services.open_account(email="zoe@example.org", now=now)
    services.appoint(user=user, organization=cast.clinic, role=Role.NURSE, valid_from=now, now=now)
    user.refresh_from_db()
    assert user.is_staff
    with identity(system("housekeeping")):
        operations = set(AuditEvent.objects.values_list("operation", flat=True))
    assert {"accounts.open", "accounts.appoint"} <= operations


def test_ending_a_role_ends_its_tokens(cast: Cast, now: datetime) -> None:
    api = api_of(cast.nurse, "staff")
    services.end_membership(membership_id=cast.nurse.memberships.get().pk, now=now)
    assert api.get("me").status_code == 401
    with pytest.raises(NotFound):
        services.end_membership(membership_id=cast.clinic.pk, now=now)


def test_closing_an_account_ends_its_browser_session(
    cast: Cast, client: Any, now: datetime
) -> None:
    client.force_login(cast.anna_user)
    assert b"Sign out" in client.get("/").content
    services.deactivate_account(user=cast.anna_user, now=now)
    assert b"Sign out" not in client.get("/").content


@pytest.mark.parametrize(
    "uri",
    [
        "http://example.org/callback",
        "http://127.0.0.1.example.org/",
        "http://localhost/callback",
        "javascript:alert(1)",
        "other.scheme:/callback",
        "https://*.example.org/callback",
        "https://example.org/callback#x",
        "",
    ],
)
def test_an_unsafe_redirect_is_not_registered(now: datetime, uri: str) -> None:
    with pytest.raises(InvalidInput):
        services.register_mobile_client(name="App", redirect_uris=(uri,), now=now)


@pytest.mark.parametrize(
    "uri",
    ["org.linden.portal:/callback", "https://app.example/callback", "http://127.0.0.1:8765/back"],
)
def test_a_safe_redirect_is_registered(now: datetime, uri: str) -> None:
    client_id = services.register_mobile_client(name="App", redirect_uris=(uri,), now=now)
    assert OAuthClient.objects.get(client_id=client_id).redirect_uris == uri


@pytest.mark.parametrize(
    "changes",
    [
        {"client_type": "confidential"},
        {"authorization_grant_type": "password"},
        {"authorization_grant_type": "client-credentials"},
        {"skip_authorization": True},
        {"hash_client_secret": False},
        {"kind": "laboratory"},
    ],
)
def test_the_database_refuses_a_client_that_its_kind_may_not_be(
    now: datetime, changes: dict[str, Any]
) -> None:
    client_id = services.register_mobile_client(
        name="App", redirect_uris=("org.linden.portal:/callback",), now=now
    )
    with pytest.raises(IntegrityError), transaction.atomic():
        OAuthClient.objects.filter(client_id=client_id).update(**changes)


@pytest.fixture
def complete(now: datetime) -> Organization:
    made = Organization.objects.create(
        name="New Clinic", zone="Europe/Berlin", phone_day="+49 30 1", phone_24h="+49 30 2"
    )
    OpeningHours.objects.create(organization=made, iso_weekday=1, opens=time(8), closes=time(17))
    Holiday.objects.create(organization=made, date=date(2026, 12, 25), name="Christmas")
    DutyShift.objects.create(
        organization=made,
        user=User.objects.create_user("zoe@example.org", is_staff=True),
        starts_at=now,
        ends_at=now + timedelta(hours=8),
    )
    return made


def test_a_complete_organization_opens(complete: Organization, now: datetime) -> None:
    assert services.activate_organization(organization_id=complete.pk, now=now).is_active


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ({"zone": "Mars/Olympus"}, "a known time zone"),
        ({"phone_day": ""}, "the phone for office hours"),
        ({"phone_24h": ""}, "the 24-hour phone"),
        ("hours", "opening hours"),
        ("holidays", "the holidays of the coming year"),
        ("shifts", "a duty roster for the coming week"),
    ],
)
def test_each_missing_part_is_named(
    complete: Organization, now: datetime, missing: Any, words: str
) -> None:
    if isinstance(missing, dict):
        Organization.objects.filter(pk=complete.pk).update(**missing)
    else:
        getattr(complete, missing).all().delete()
    with pytest.raises(services.OrganizationIncomplete) as caught:
        services.activate_organization(organization_id=complete.pk, now=now)
    assert [error.message for error in caught.value.errors] == [words]
    complete.refresh_from_db()
    assert not complete.is_active


def test_a_roster_counts_when_it_begins_within_a_week(
    complete: Organization, now: datetime
) -> None:
    shift = complete.shifts.get()
    for starts_at, ready in (
        (now + services.ROSTER_AHEAD, True),
        (now + services.ROSTER_AHEAD + timedelta(seconds=1), False),
    ):
        shift.starts_at, shift.ends_at = starts_at, starts_at + timedelta(hours=8)
        shift.save()
        assert (services.missing_for_activation(organization=complete, now=now) == []) is ready


def test_the_database_itself_refuses_an_open_clinic_without_phones(complete: Organization) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Organization.objects.filter(pk=complete.pk).update(is_active=True, phone_24h="")


def test_second_factor_secrets_are_encrypted_at_rest() -> None:
    adapter = MFAAdapter()
    stored = adapter.encrypt("JBSWY3DPEHPK3PXP")
    assert "JBSWY3DPEHPK3PXP" not in stored
    assert adapter.decrypt(stored) == "JBSWY3DPEHPK3PXP"
    assert adapter.encrypt("JBSWY3DPEHPK3PXP") != stored


@pytest.mark.django_db
def test_the_text_of_an_account_names_staff_only(cast: Cast) -> None:
    assert str(cast.nurse) == "nora"
    assert str(cast.anna_user) == str(cast.anna_user.pk)
    assert str(cast.dora) == str(cast.dora.pk)
