"""Open accounts, appoint staff, register OAuth clients, open an organization.

Deactivation and the end of a role take tokens and sessions away in the same transaction.
"""

import ipaddress
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from allauth.account.models import EmailAddress
from allauth.usersessions.models import UserSession
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from oauth2_provider.generators import generate_client_id
from oauth2_provider.models import get_access_token_model, get_grant_model, get_refresh_token_model

from accounts.models import DutyShift, Membership, OAuthClient, Organization, User
from accounts.roles import Role
from core import audit
from core.errors import DomainError, FieldError, InvalidInput, NotFound
from core.models import AuditEvent

# How far ahead the roster and the holidays of an organization must be known.
ROSTER_AHEAD = timedelta(days=7)
HOLIDAYS_AHEAD = timedelta(days=366)


class EmailInUse(DomainError):
    """Another account has this address. Shown to staff only, never to a visitor."""

    code = "email-in-use"
    title = "An account with this e-mail address exists already."


class OrganizationIncomplete(DomainError):
    """An organization opens only when somebody can be reached at every hour."""

    code = "organization-incomplete"
    status = 422
    title = "The organization cannot be activated yet."


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """What a laboratory's system signs in with. The secret is shown once and stored hashed."""

    client_id: str
    client_secret: str


# --- people ---


def open_account(
    *,
    email: str,
    now: datetime,
    given_name: str = "",
    family_name: str = "",
    password: str | None = None,
    language: str = "en",
    zone: str = "UTC",
    is_staff: bool = False,
) -> User:
    """Open an account whose address somebody has checked already.

    Without a password nobody can sign in until one is set by the reset mail.
    Raises: EmailInUse, InvalidInput (password, zone).
    """
    _require_zone(zone)
    made = User(
        email=email.strip().lower(),
        given_name=given_name,
        family_name=family_name,
        language=language,
        zone=zone,
        is_staff=is_staff,
        joined_at=now,
    )
    if password is not None:
        try:
            validate_password(password, made)
        except ValidationError as error:
            raise InvalidInput(
                errors=tuple(
                    FieldError("password", str(e.code or "invalid"), " ".join(e.messages))
                    for e in error.error_list
                )
            ) from error
    made.set_password(password)
    with transaction.atomic():
        try:
            with transaction.atomic():
                made.save(force_insert=True)
        except IntegrityError:
            # The database's text names the address; our refusal does not.
            raise EmailInUse() from None
        EmailAddress.objects.create(user=made, email=made.email, primary=True, verified=True)
        _audit("accounts.open", AuditEvent.Action.CREATE, "User", made.pk, now)
    return made


def appoint(
    *,
    user: User,
    organization: Organization,
    role: Role,
    valid_from: datetime,
    now: datetime,
    valid_until: datetime | None = None,
) -> Membership:
    """Let `user` work for `organization` in `role`; the account becomes one of staff."""
    with transaction.atomic():
        if not user.is_staff:
            user.is_staff = True
            user.save(update_fields=["is_staff"])
        made = Membership.objects.create(
            user=user,
            organization=organization,
            role=role,
            valid_from=valid_from,
            valid_until=valid_until,
        )
        _audit("accounts.appoint", AuditEvent.Action.CREATE, "Membership", made.pk, now)
    return made


def end_membership(*, membership_id: UUID, now: datetime) -> None:
    """End a role now; tokens and sessions of the person end with it. Raises: NotFound."""
    with transaction.atomic():
        membership = Membership.objects.select_for_update().filter(id=membership_id).first()
        if membership is None:
            raise NotFound()
        membership.valid_until = now
        membership.save(update_fields=["valid_until"])
        end_access(user=membership.user)
        _audit("accounts.end-role", AuditEvent.Action.UPDATE, "Membership", membership.pk, now)


def deactivate_account(*, user: User, now: datetime) -> None:
    """Close an account: no sign-in, no token, no session from this transaction on."""
    with transaction.atomic():
        User.objects.filter(pk=user.pk).update(is_active=False)
        user.is_active = False
        end_access(user=user)
        _audit("accounts.deactivate", AuditEvent.Action.UPDATE, "User", user.pk, now)


def end_access(*, user: User) -> None:
    """Delete every token, code and session of `user`; runs inside the caller's transaction."""
    get_access_token_model().objects.filter(user=user).delete()
    get_refresh_token_model().objects.filter(user=user).delete()
    get_grant_model().objects.filter(user=user).delete()
    for session in UserSession.objects.filter(user=user):
        session.end()


# --- OAuth clients ---


def register_mobile_client(
    *,
    name: str,
    redirect_uris: tuple[str, ...],
    now: datetime,
    kind: OAuthClient.Kind = OAuthClient.Kind.MOBILE,
    client_id: str = "",
) -> str:
    """Register a public client (code + PKCE) and return its client id, made up when not given.

    Addresses are the app's own scheme or https; http only on the loopback address, where the
    settings allow it. Raises: InvalidInput.
    """
    return _public_client(
        name=name, redirect_uris=redirect_uris, kind=kind, client_id=client_id, now=now
    )


def register_staff_tool_client(
    *, name: str, redirect_uris: tuple[str, ...], now: datetime, client_id: str = ""
) -> str:
    """Register a tool of the staff and return its client id. Raises: InvalidInput."""
    return _public_client(
        name=name,
        redirect_uris=redirect_uris,
        kind=OAuthClient.Kind.STAFF_TOOL,
        client_id=client_id,
        now=now,
    )


def register_laboratory_client(
    *, name: str, now: datetime, client_id: str = ""
) -> ClientCredentials:
    """Register a laboratory's system (client credentials); the secret is not kept in clear."""
    secret = secrets.token_urlsafe(48)
    client = OAuthClient(
        name=name,
        kind=OAuthClient.Kind.LABORATORY,
        client_type=OAuthClient.CLIENT_CONFIDENTIAL,
        authorization_grant_type=OAuthClient.GRANT_CLIENT_CREDENTIALS,
        client_secret=secret,
        client_id=client_id or generate_client_id(),
    )
    _save_client(client, now)
    return ClientCredentials(client_id=client.client_id, client_secret=secret)


def retire_client(*, client_id: str, now: datetime) -> None:
    """Take a client out of use; its tokens end with it. Raises: NotFound."""
    with transaction.atomic():
        client = OAuthClient.objects.select_for_update().filter(client_id=client_id).first()
        if client is None:
            raise NotFound()
        client.is_active = False
        client.save(update_fields=["is_active", "updated"])
        get_access_token_model().objects.filter(application=client).delete()
        get_refresh_token_model().objects.filter(application=client).delete()
        get_grant_model().objects.filter(application=client).delete()
        _audit_client("accounts.client.retire", AuditEvent.Action.UPDATE, client, now)


def _public_client(
    *,
    name: str,
    redirect_uris: tuple[str, ...],
    kind: OAuthClient.Kind,
    client_id: str,
    now: datetime,
) -> str:
    for uri in redirect_uris:
        _require_safe_redirect(uri)
    client = OAuthClient(
        name=name,
        kind=kind,
        client_type=OAuthClient.CLIENT_PUBLIC,
        authorization_grant_type=OAuthClient.GRANT_AUTHORIZATION_CODE,
        redirect_uris=" ".join(redirect_uris),
        client_secret="",
        client_id=client_id or generate_client_id(),
    )
    _save_client(client, now)
    return client.client_id


def _save_client(client: OAuthClient, now: datetime) -> None:
    try:
        client.full_clean(exclude=["client_secret"])
    except ValidationError as error:
        raise InvalidInput(
            errors=tuple(
                FieldError(field, "invalid", " ".join(messages))
                for field, messages in error.message_dict.items()
            )
        ) from error
    with transaction.atomic():
        client.save(force_insert=True)
        _audit_client("accounts.client.register", AuditEvent.Action.CREATE, client, now)


def _require_safe_redirect(uri: str) -> None:
    parts = urlsplit(uri)
    if parts.scheme != "http":
        return
    try:
        loopback = ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise InvalidInput(
            errors=(FieldError("redirect_uris", "not-safe", "Plain http only on 127.0.0.1."),)
        )


# --- organizations ---


def missing_for_activation(*, organization: Organization, now: datetime) -> list[str]:
    """Return what is still missing, in words for the administrator; empty means ready."""
    missing: list[str] = []
    if not _zone_known(organization.zone):
        missing.append("a known time zone")
    if not organization.phone_day:
        missing.append("the phone for office hours")
    if not organization.phone_24h:
        missing.append("the 24-hour phone")
    if not organization.hours.exists():
        missing.append("opening hours")
    if not organization.holidays.filter(
        date__gte=now.date(), date__lte=(now + HOLIDAYS_AHEAD).date()
    ).exists():
        missing.append("the holidays of the coming year")
    if not DutyShift.objects.filter(
        organization=organization, starts_at__lte=now + ROSTER_AHEAD, ends_at__gt=now
    ).exists():
        missing.append("a duty roster for the coming week")
    return missing


def activate_organization(*, organization_id: UUID, now: datetime) -> Organization:
    """Open an organization for patients. Raises: NotFound, OrganizationIncomplete."""
    with transaction.atomic():
        organization = Organization.objects.select_for_update().filter(id=organization_id).first()
        if organization is None:
            raise NotFound()
        missing = missing_for_activation(organization=organization, now=now)
        if missing:
            raise OrganizationIncomplete(
                f"Still missing: {', '.join(missing)}.",
                errors=tuple(FieldError("organization", "missing", what) for what in missing),
            )
        if not organization.is_active:
            organization.is_active = True
            organization.save(update_fields=["is_active"])
            _audit(
                "accounts.organization.activate",
                AuditEvent.Action.UPDATE,
                "Organization",
                organization.pk,
                now,
            )
    return organization


def deactivate_organization(*, organization_id: UUID, now: datetime) -> None:
    """Close an organization: its staff reach nothing through it. Raises: NotFound."""
    with transaction.atomic():
        changed = Organization.objects.filter(id=organization_id).update(is_active=False)
        if not changed:
            raise NotFound()
        _audit(
            "accounts.organization.deactivate",
            AuditEvent.Action.UPDATE,
            "Organization",
            organization_id,
            now,
        )


def _zone_known(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        return False
    return True


def _require_zone(zone: str) -> None:
    if not _zone_known(zone):
        raise InvalidInput(
            errors=(FieldError("zone", "unknown-zone", "Send an IANA zone such as Europe/Berlin."),)
        )


def _audit(operation: str, action: str, resource: str, row_id: UUID, now: datetime) -> None:
    audit.record(
        action=action, operation=operation, now=now, resource=resource, resource_ids=[row_id]
    )


def _audit_client(operation: str, action: str, client: OAuthClient, now: datetime) -> None:
    # A client has a number, not a UUID, so the event names it by its public client id.
    audit.record(
        action=action,
        operation=operation,
        now=now,
        resource="OAuthClient",
        reason_code=client.client_id[:60],
    )
