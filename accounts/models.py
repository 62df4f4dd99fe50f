"""Who signs in, and for which organization."""

from datetime import datetime
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from oauth2_provider.models import AbstractApplication, ApplicationManager

from accounts.roles import Role
from core.ids import new_id
from core.models import BaseModel


class UserManager(BaseUserManager["User"]):
    """Makes users; an e-mail address is compared without regard to case."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Return a saved user; without a password nobody can sign in with one."""
        if not email:
            raise ValueError("a user needs an e-mail address")
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Return a user for set-up work. A superuser reaches no patient data: roles do."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):  # type: ignore[django-manager-missing]
    """A person who signs in: patient, caregiver or staff."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    email = models.EmailField(max_length=254, unique=True)
    given_name = models.CharField(max_length=100, blank=True)
    family_name = models.CharField(max_length=100, blank=True)
    language = models.CharField(max_length=8, default="en")
    zone = models.CharField(max_length=64, default="UTC", help_text="IANA time zone")
    is_active = models.BooleanField(default=True)
    is_staff = models.BooleanField(default=False)
    joined_at = models.DateTimeField(null=True)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(email=Lower("email")), name="user_email_lower_case"
            )
        ]

    def __str__(self) -> str:
        """Name staff, whom every page of the staff site may name; of others only the id."""
        return (self.full_name if self.is_staff else "") or str(self.id)

    @property
    def full_name(self) -> str:
        return f"{self.given_name} {self.family_name}".strip()


class Organization(BaseModel):
    """A hospital department, clinic or mobile team: its zone, hours, phones. FHIR Organization."""

    name = models.CharField(max_length=200)
    zone = models.CharField(max_length=64, help_text="IANA time zone")
    language = models.CharField(max_length=8, default="en")
    phone_day = models.CharField(max_length=40, blank=True)
    phone_24h = models.CharField(max_length=40, blank=True)
    is_active = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(is_active=False)
                | (~models.Q(zone="") & ~models.Q(phone_day="") & ~models.Q(phone_24h="")),
                name="organization_active_needs_zone_and_phones",
            )
        ]

    def __str__(self) -> str:
        return self.name


class OpeningHours(BaseModel):
    """When somebody reads and answers, by ISO weekday (1 = Monday), in the organization's zone."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="hours")
    iso_weekday = models.PositiveSmallIntegerField()
    opens = models.TimeField()
    closes = models.TimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(iso_weekday__gte=1, iso_weekday__lte=7), name="hours_weekday"
            ),
            models.CheckConstraint(
                condition=models.Q(opens__lt=models.F("closes")), name="hours_open_before_close"
            ),
            models.UniqueConstraint(
                fields=["organization", "iso_weekday", "opens"], name="hours_once"
            ),
        ]


class Holiday(BaseModel):
    """A day on which the organization is closed."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="holidays")
    date = models.DateField()
    name = models.CharField(max_length=100)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "date"], name="holiday_once")
        ]


class DutyShift(BaseModel):
    """Who is on duty, as an instant range; on-call shifts carry the phone to page."""

    organization = models.ForeignKey(Organization, models.CASCADE, related_name="shifts")
    user = models.ForeignKey(User, models.PROTECT, related_name="shifts")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    on_call = models.BooleanField(default=False)
    page_phone = models.CharField(max_length=40, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(starts_at__lt=models.F("ends_at")), name="shift_start_before_end"
            ),
            models.CheckConstraint(
                condition=models.Q(on_call=False) | ~models.Q(page_phone=""),
                name="shift_on_call_has_phone",
            ),
        ]
        indexes = [models.Index(fields=["organization", "starts_at"], name="shift_by_start")]


class MembershipQuerySet(models.QuerySet["Membership"]):
    def active_at(self, now: datetime) -> "MembershipQuerySet":
        """Memberships in force at `now`."""
        return self.filter(valid_from__lte=now).filter(
            models.Q(valid_until__isnull=True) | models.Q(valid_until__gt=now)
        )


class Membership(BaseModel):
    """A person works for an organization in a role, from and until. FHIR PractitionerRole."""

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    organization = models.ForeignKey(Organization, models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=16, choices=[(r.value, r.name.title()) for r in Role])
    valid_from = models.DateTimeField()
    valid_until = models.DateTimeField(null=True, blank=True)

    objects = MembershipQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(valid_until__isnull=True)
                | models.Q(valid_from__lt=models.F("valid_until")),
                name="membership_from_before_until",
            ),
            models.UniqueConstraint(
                fields=["user", "organization", "role"],
                condition=models.Q(valid_until__isnull=True),
                name="membership_open_once",
            ),
        ]


class OAuthClient(AbstractApplication):
    """A program that asks for tokens: our app, another's app, a laboratory, a staff tool.

    `kind` decides which scopes it may ever ask for. Secrets are stored hashed.
    """

    class Kind(models.TextChoices):
        MOBILE = "mobile", "Our own app on a phone"
        THIRD_PARTY = "third-party", "Another maker's app"
        LABORATORY = "laboratory", "A laboratory's system"
        STAFF_TOOL = "staff-tool", "A tool of the staff"

    kind = models.CharField(max_length=12, choices=Kind.choices)
    is_active = models.BooleanField(default=True)

    objects = ApplicationManager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(
                    kind="laboratory",
                    authorization_grant_type="client-credentials",
                    client_type="confidential",
                )
                | (
                    ~models.Q(kind="laboratory")
                    & models.Q(authorization_grant_type="authorization-code", client_type="public")
                ),
                name="oauth_client_kind_decides_grant",
            ),
            models.CheckConstraint(
                condition=models.Q(skip_authorization=False),
                name="oauth_client_always_asks_consent",
            ),
            models.CheckConstraint(
                condition=models.Q(hash_client_secret=True),
                name="oauth_client_secret_hashed",
            ),
        ]

    def __str__(self) -> str:
        return self.name or self.client_id

    def natural_key(self) -> tuple[str]:
        return (self.client_id,)

    def is_usable(self, request: Any) -> bool:
        """Asked by the toolkit before a token is issued or honoured."""
        return self.is_active
