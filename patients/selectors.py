"""Reads of the record's frame. Every one starts from who is asking."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from django.db import connection
from django.db.models import F, QuerySet

from accounts.models import Membership, Organization, User
from accounts.roles import Role
from core.audit import STAFF_ONLY
from core.errors import NotFound
from core.models import AuditEvent
from patients.models import CareTeamMember, Enrolment, Patient, ProfileFact
from patients.names import normalised_family_name
from patients.viewer import REACH_COLUMNS, Reach, Viewer, patient_viewer


@dataclass(frozen=True, slots=True)
class Record:
    """A record that a signed-in person may open, and what she may do there.

    `scopes` is empty for the patient herself: she may do everything her token allows.
    """

    patient_id: UUID
    relation: Literal["patient", "proxy"]
    scopes: tuple[str, ...]
    given_name: str
    family_name: str
    zone: str
    valid_until: datetime | None


def records_of(user: User) -> list[Record]:
    """Return the records that `user` may open, her own first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM reaches_of(%s)", [user.pk])
        return [
            Record(row[0], row[1], tuple(row[2]), row[3], row[4], row[5], row[6])
            for row in cursor.fetchall()
        ]


def viewer_in(
    user_id: UUID, patient_id: UUID, *, scopes: frozenset[str], client_id: str = ""
) -> Viewer | None:
    """Return a person as the viewer of one record now, for a capability that names both.

    None when she may not open it (any more): account or grant ended, record closed, death.
    `scopes` are cut to what her grant allows. Needs no identity.
    """
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None:
        return None
    with connection.cursor() as cursor:
        columns = ", ".join(REACH_COLUMNS)
        cursor.execute(
            f"SELECT {columns} FROM resolve_reach(%s, %s)",  # noqa: S608
            [user_id, patient_id],
        )
        row = cursor.fetchone()
    if row is None:
        return None
    return patient_viewer(user=user, reach=Reach.of(row), token_scopes=scopes, client_id=client_id)


def own_patient(viewer: Viewer) -> Patient:
    """Return the record that the viewer acts in. Raises: NotFound."""
    patient = Patient.objects.filter(id=_own(viewer)).first()
    if patient is None:
        raise NotFound()
    return patient


def profile_facts(viewer: Viewer, patient_id: UUID) -> QuerySet[ProfileFact]:
    """Return the facts of the profile that hold now, by kind and code."""
    return ProfileFact.objects.filter(
        patient_id=_of(viewer, patient_id), superseded_at__isnull=True
    ).order_by("kind", "code")


def organizations_of(viewer: Viewer, patient_id: UUID, *, now: datetime) -> list[Organization]:
    """Return where she is enrolled now, with phones; by name."""
    rows = (
        Enrolment.objects.filter(patient_id=_of(viewer, patient_id), starts_at__lte=now)
        .exclude(ends_at__lte=now)
        .select_related("organization")
        .order_by("organization__name")
    )
    return [row.organization for row in rows]


def care_team(viewer: Viewer, patient_id: UUID, *, now: datetime) -> list[CareTeamMember]:
    """Return who is on her care team now."""
    return list(
        CareTeamMember.objects.filter(patient_id=_of(viewer, patient_id), valid_from__lte=now)
        .exclude(valid_until__lte=now)
        .select_related("user")
        .order_by("role", "valid_from")
    )


def _own(viewer: Viewer) -> UUID:
    if viewer.patient_id is None:
        raise NotFound()
    return viewer.patient_id


def _of(viewer: Viewer, patient_id: UUID) -> UUID:
    """For a patient or proxy, the one record she acts in, whatever was asked for."""
    return patient_id if viewer.kind in ("staff", "system") else _own(viewer)


def access_log(viewer: Viewer) -> QuerySet[AuditEvent, Any]:
    """Return every look at and change of her record. Hers alone: a caregiver gets NotFound.

    Without what would tell of a result that is held from her (DECISIONS 4).
    """
    if viewer.kind != "patient":
        raise NotFound()
    events = AuditEvent.objects.filter(patient_id=_own(viewer))
    return events.exclude(operation__startswith=STAFF_ONLY).values(
        "id", "occurred_at", "action", "outcome", "actor_kind", "actor_id", "area", "operation"
    )


def names_of(user_ids: set[UUID]) -> dict[UUID, str]:
    """Return the full names of people who acted on a record."""
    users = User.objects.filter(pk__in=user_ids).only("given_name", "family_name")
    return {user.pk: user.full_name for user in users}


@dataclass(frozen=True, slots=True)
class Found:
    """A patient as a list shows her to staff."""

    id: UUID
    given_name: str
    family_name: str
    birth_date: date
    sex: str


def find_patients(
    viewer: Viewer,
    *,
    authority: str = "",
    value: str = "",
    family_name: str = "",
    birth_date: date | None = None,
    limit: int = 20,
) -> list[Found]:
    """Return patients in the staff's reach by number, or by family name and birth date."""
    rows = Patient.objects.filter(is_active=True) if viewer.kind == "staff" else None
    if rows is None:
        raise NotFound()
    if value:
        rows = rows.filter(
            identifiers__authority=authority,
            identifiers__value=value,
            identifiers__valid_until__isnull=True,
        )
    elif birth_date is not None:
        rows = rows.filter(
            family_name_key=normalised_family_name(family_name), birth_date=birth_date
        )
    else:
        return []
    found = rows.order_by(F("family_name_key"), "given_name", "id").values_list(
        "id", "given_name", "family_name", "birth_date", "sex"
    )
    return [Found(*row) for row in found[:limit]]


def organization_for(
    viewer: Viewer, *, organization_id: UUID | None, roles: frozenset[str], now: datetime
) -> Organization:
    """Return the organization in which the viewer may act in one of `roles`.

    None means her only one. Raises: NotFound when there is none, or more than one to choose from.
    """
    choices = organizations_to_enrol(viewer, roles=roles, now=now)
    if organization_id is not None:
        choices = choices.filter(id=organization_id)
    found = choices[:2]
    if len(found) != 1:
        raise NotFound()
    return found[0]


def organizations_to_enrol(
    viewer: Viewer, *, roles: frozenset[Role] | frozenset[str], now: datetime
) -> QuerySet[Organization]:
    """Return the organizations in which the viewer holds one of `roles` now, by name."""
    memberships = Membership.objects.active_at(now).filter(
        user=viewer.user_id, role__in=roles, organization__is_active=True
    )
    return Organization.objects.filter(id__in=memberships.values("organization_id")).order_by(
        "name", "id"
    )
