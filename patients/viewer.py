"""Who is asking. Every selector takes a Viewer and starts from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from accounts.models import Membership, User
from accounts.roles import areas_of_roles
from accounts.scopes import Scope, areas_of
from core.areas import Area
from core.crypto import keyed_digest
from core.db import Identity, Kind
from core.errors import NotFound


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person or system, for whom it acts, and with what reach.

    For a patient or proxy `patient_id` is the one record in question; for staff it is None.
    `language` and `zone` are the viewer's own.
    """

    kind: Kind
    user_id: UUID | None
    patient_id: UUID | None
    scopes: frozenset[str]
    areas: frozenset[str]
    client_id: str = ""
    purpose: str = ""
    roles: frozenset[str] = frozenset()
    language: str = "en"
    zone: str = "UTC"

    @property
    def identity(self) -> Identity:
        return Identity(
            kind=self.kind,
            user_id=self.user_id,
            patient_id=self.patient_id,
            areas=self.areas,
            purpose=self.purpose,
        )

    @property
    def key(self) -> str:
        """A short keyed digest of who this is, for cursors and ETags."""
        return keyed_digest(
            "viewer",
            self.kind,
            str(self.user_id),
            str(self.patient_id),
            self.client_id,
            " ".join(sorted(self.scopes)),
        )[:32]

    def may(self, area: Area | str) -> bool:
        return str(area) in self.areas

    def require_grant(self, scope: Scope) -> None:
        """Raises: NotFound when her grant does not give `scope`: the record stays unseen."""
        if scope not in self.scopes:
            raise NotFound()


REACH_COLUMNS = ("patient_id", "relation", "scopes", "language", "zone")
_NO_RECORD = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Reach:
    """What the database says a user is to a patient."""

    patient_id: UUID
    relation: Literal["patient", "proxy"]
    scopes: frozenset[str]
    language: str
    zone: str

    @classmethod
    def of(cls, row: Sequence[Any]) -> "Reach":
        """Return the reach in a row of `REACH_COLUMNS`."""
        return cls(row[0], row[1], frozenset(row[2]), row[3], row[4])


def record_wanted(patient_ref: str) -> UUID | None:
    """Return which record `me` (None) or an id means; what is neither means no record."""
    if patient_ref == "me":
        return None
    try:
        return UUID(patient_ref)
    except ValueError:
        return _NO_RECORD


def patient_viewer(
    *, user: User, reach: Reach, token_scopes: frozenset[str] | None, client_id: str = ""
) -> Viewer:
    """Return the viewer of the record within `reach`.

    Scopes are what the token carries, cut to what a grant allows; `token_scopes` None means
    a first-party session with every scope.
    """
    held = frozenset(Scope) if token_scopes is None else token_scopes
    allowed = held if reach.relation == "patient" else held & reach.scopes
    return Viewer(
        kind=reach.relation,
        user_id=user.pk,
        patient_id=reach.patient_id,
        scopes=frozenset(str(scope) for scope in allowed),
        areas=areas_of(allowed),
        client_id=client_id,
        language=user.language or reach.language,
        zone=reach.zone,
    )


def staff_viewer(*, user: User, now: datetime, client_id: str = "", purpose: str = "") -> Viewer:
    """Return the viewer of a member of staff: the roles she holds now, and their areas."""
    roles = frozenset(
        Membership.objects.active_at(now)
        .filter(user=user, organization__is_active=True)
        .values_list("role", flat=True)
    )
    return Viewer(
        kind="staff",
        user_id=user.pk,
        patient_id=None,
        scopes=frozenset(),
        areas=areas_of_roles(set(roles)),
        client_id=client_id,
        purpose=purpose,
        roles=roles,
        language=user.language,
        zone=user.zone,
    )
