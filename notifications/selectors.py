"""Reads of the ledger: her own history, and the figures that are alarmed on."""

from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import Count, Min, Q, QuerySet

from accounts.models import User
from accounts.scopes import Scope
from core.db import identity, system
from notifications.models import ChannelPreference, Notification, QuietHours
from notifications.purposes import Purpose
from notifications.quiet_hours import Quiet
from patients.grants import scopes_at
from patients.models import CaregiverGrant, Patient
from patients.viewer import Viewer

OPEN = (Notification.State.PLANNED, Notification.State.CLAIMED)


def notifications_for(viewer: Viewer) -> QuerySet[Notification]:
    """Return what was planned for the viewer herself about this record, sent or not."""
    if viewer.patient_id is None or viewer.user_id is None:
        return Notification.objects.none()
    return Notification.objects.filter(patient_id=viewer.patient_id, recipient_id=viewer.user_id)


def user_of_patient(patient_id: UUID) -> User | None:
    """Return the patient's own sign-in, or None when she has none."""
    row = (
        Patient.objects.filter(id=patient_id, user__isnull=False)
        .select_related("user__quiet_hours")
        .first()
    )
    return row.user if row else None


def caregivers_to_tell(patient_id: UUID, *, scope: Scope, about: UUID, at: datetime) -> list[User]:
    """Return whose grant reaches `scope` at `at` and does not hide the resource `about`."""
    grants = (
        CaregiverGrant.objects.alias(allowed=scopes_at(at))
        .filter(
            Q(valid_until__isnull=True) | Q(valid_until__gt=at),
            patient_id=patient_id,
            allowed__contains=[scope],  # type: ignore[misc]
            revoked_at__isnull=True,
            valid_from__lte=at,
        )
        .exclude(hidden_resources__contains=[about])
        .select_related("caregiver__quiet_hours")
        .order_by("caregiver_id")
    )
    return [grant.caregiver for grant in grants]


def quiet_of(user: User) -> Quiet:
    """Return the quiet hours of a user, in the zone she is in now."""
    try:
        own = user.quiet_hours
    except QuietHours.DoesNotExist:
        return Quiet(zone=user.zone)
    return Quiet(zone=user.zone, starts=own.starts, ends=own.ends)


def channels_for(user: User, purpose: Purpose) -> list[Notification.Channel]:
    """Return where a person is told about `purpose`: the inbox always, e-mail unless turned off."""
    return channels_of_many([user], purpose)[user.pk]


def channels_of_many(users: list[User], purpose: Purpose) -> dict[UUID, list[Notification.Channel]]:
    """Return `channels_for` of each user, in one statement."""
    off = set(
        ChannelPreference.objects.filter(
            user__in=users, purpose=purpose, channel=Notification.Channel.EMAIL, enabled=False
        ).values_list("user_id", flat=True)
    )
    channel = Notification.Channel
    return {u.pk: [channel.INBOX] + ([] if u.pk in off else [channel.EMAIL]) for u in users}


def wants_detail(user_id: UUID, purpose: Purpose, channel: Notification.Channel) -> bool:
    """Return whether she lets what comes this way say more than that there is something."""
    detail = ChannelPreference.Detail
    return ChannelPreference.objects.filter(
        user_id=user_id, purpose=purpose, channel=channel, detail__in=(detail.PLAIN, detail.FULL)
    ).exists()


def contact_refusal(patient_id: UUID, at: datetime) -> str:
    """Return why nobody may be told about this patient at `at`, or an empty text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT contact_allowed(%s, %s)", [patient_id, at])
        return str(cursor.fetchone()[0])


def oldest_due_at(now: datetime) -> datetime | None:
    """Return when the oldest row that should have left by `now` fell due; alarm on its age."""
    with identity(system("metrics")):
        found = Notification.objects.filter(state__in=OPEN, send_after__lte=now).aggregate(
            oldest=Min("send_after")
        )
    oldest: datetime | None = found["oldest"]
    return oldest


def counts_by_state() -> dict[str, int]:
    """Return how many rows are in each state, absent states as 0."""
    with identity(system("metrics")):
        counted = dict(
            Notification.objects.values_list("state").annotate(n=Count("id")).order_by("state")
        )
    return {state: counted.get(state, 0) for state in Notification.State.values}
