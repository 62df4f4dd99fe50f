"""A small surgery for the tests: one doctor, Mondays to Fridays from nine to twelve."""

import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from uuid import UUID
from zoneinfo import ZoneInfo

from oauth2_provider.models import get_access_token_model

from accounts.models import OAuthClient, Organization, User
from appointments import services
from appointments.models import Appointment, Location, Resource, Schedule, VisitType
from appointments.opening_ids import opening_id
from core.db import identity
from tests.tokens import viewer_of

MONDAY = date(2026, 11, 23)


@dataclass
class Surgery:
    """`visit_type` takes thirty minutes of `doctor` and is booked directly."""

    organization: Organization
    location: Location
    doctor: Resource
    visit_type: VisitType
    schedule: Schedule

    def at(self, hour: int, minute: int = 0, on: date = MONDAY) -> datetime:
        """Return the instant of a wall-clock time at the location."""
        return datetime.combine(on, time(hour, minute), ZoneInfo(self.location.zone))

    def opening(self, hour: int, minute: int = 0, on: date = MONDAY) -> str:
        return self.opening_of(self.schedule, self.at(hour, minute, on))

    def opening_of(self, schedule: Schedule, starts_at: datetime) -> str:
        return opening_id(
            schedule_id=schedule.id,
            visit_type_id=self.visit_type.id,
            starts_at=starts_at.astimezone(UTC),
        )


def surgery(organization: Organization, *, needs: tuple[str, ...] = (), **rules: object) -> Surgery:
    """Set up one doctor with a schedule; `rules` are fields of the visit type."""
    location = services.create_location(
        organization=organization,
        name=f"House {secrets.token_hex(3)}",
        zone=organization.zone,
        address="Lindenweg 1",
        phone="+49 30 5550111",
        directions="Second floor.",
    )
    doctor = services.create_resource(
        organization=organization, kind="practitioner", name="Dr Ahorn", location=location
    )
    visit_type = services.create_visit_type(
        organization=organization,
        code=f"clinic-{secrets.token_hex(3)}",
        name="Clinic visit",
        needs=needs,
        **{"duration_minutes": 30, "booking_policy": "direct", **rules},  # type: ignore[arg-type]
    )
    return Surgery(
        organization, location, doctor, visit_type, hours(doctor, location, [visit_type])
    )


def hours(
    resource: Resource,
    location: Location,
    visit_types: list[VisitType],
    *,
    starts: time = time(9),
    ends: time = time(12),
    step: int = 30,
) -> Schedule:
    """Give a resource a schedule with the same hours on working days."""
    schedule = services.create_schedule(
        resource=resource, location=location, visit_types=visit_types
    )
    for weekday in range(1, 6):
        services.add_availability(
            schedule=schedule,
            iso_weekday=weekday,
            starts=starts,
            ends=ends,
            slot_step_minutes=step,
            valid_from=date(2026, 1, 1),
        )
    return schedule


def book(user: User, opening: str, now: datetime) -> Appointment:
    """Book as a patient does."""
    viewer = viewer_of(user)
    with identity(viewer.identity):
        return services.book(viewer=viewer, opening=opening, now=now)


def cancel(user: User, appointment_id: UUID, now: datetime, **more: str) -> Appointment:
    viewer = viewer_of(user)
    with identity(viewer.identity):
        return services.cancel(viewer=viewer, appointment_id=appointment_id, now=now, **more)


def bearer(user: User, scope: str = "appointments.read appointments.write") -> dict[str, str]:
    """Return the header of a live access token for `user`."""
    client, _ = OAuthClient.objects.get_or_create(
        client_id="tests-phone",
        defaults={
            "name": "Tests' phone",
            "kind": OAuthClient.Kind.MOBILE,
            "client_type": "public",
            "authorization_grant_type": "authorization-code",
            "redirect_uris": "org.linden.portal:/callback",
        },
    )
    token = secrets.token_urlsafe(32)
    get_access_token_model().objects.create(
        user=user,
        application=client,
        token=token,
        scope=scope,
        expires=datetime(2036, 1, 1, tzinfo=UTC),
    )
    return {"Authorization": f"Bearer {token}"}
