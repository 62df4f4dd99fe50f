"""Who was shown a result: read from the audit, for those who must tell them that it was wrong."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Max, Min, QuerySet

from accounts.models import Membership, OAuthClient, User
from core.audit import STAFF_ONLY
from core.db import identity, system
from core.models import AuditEvent
from labs.models import DiagnosticReport, Document, Observation

STAFF_SITE = "staff site"
AUDITORS_PAGES = "admin.changedresult."
"""How the looks of auditors begin, who see no value (`labs/admin/shown.py`)."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One person was shown it through one channel, `times` times between `first` and `last`.

    `role` is hers when she looked first. The patient herself is not named.
    """

    actor_id: UUID | None
    name: str
    role: str
    channel: str
    first: datetime
    last: datetime
    times: int


def looks_at(result_ids: Iterable[UUID], *, patient_id: UUID) -> QuerySet[AuditEvent]:
    """Return the audit of every look at these results or at a file that came with one.

    Needs an identity that may read the audit; read the files under one that may read results.
    """
    return (
        AuditEvent.objects.filter(
            patient_id=patient_id,
            action=AuditEvent.Action.READ,
            outcome=AuditEvent.Outcome.SUCCESS,
            resource_ids__overlap=list(result_ids),
        )
        .exclude(operation__startswith=AUDITORS_PAGES)
        .order_by()
    )


def with_files(result_ids: Iterable[UUID], *, patient_id: UUID) -> list[UUID]:
    """Return the ids of results and of the documents that came with them."""
    ids = list(result_ids)
    files = Document.objects.filter(patient_id=patient_id, observation_id__in=ids)
    return [*ids, *files.values_list("id", flat=True)]


def readers_of_changed(report: DiagnosticReport) -> frozenset[UUID]:
    """Return the users who were shown what no longer counts in a report."""
    with identity(system("privacy-incident")):
        changed = Observation.objects.filter(
            patient_id=report.patient_id, report_id=report.pk, superseded_at__isnull=False
        )
        ids = with_files(changed.values_list("id", flat=True), patient_id=report.patient_id)
        looks = looks_at(ids, patient_id=report.patient_id)
        return frozenset(one for one in looks.values_list("actor_id", flat=True) if one)


def shown_to(ids: Iterable[UUID], *, patient_id: UUID) -> list[Shown]:
    """Return everybody who was shown one of `ids` (`with_files`), the first look first."""
    rows = list(
        looks_at(ids, patient_id=patient_id)
        .values("actor_id", "actor_kind", "client_id", "operation")
        .annotate(first=Min("occurred_at"), last=Max("occurred_at"), times=Count("id"))
    )
    people = {user.pk: user for user in User.objects.filter(pk__in={r["actor_id"] for r in rows})}
    clients = dict(
        OAuthClient.objects.filter(client_id__in={r["client_id"] for r in rows}).values_list(
            "client_id", "kind"
        )
    )
    merged: dict[tuple[object, ...], Shown] = {}
    for row in sorted(rows, key=lambda row: row["first"]):
        user = people.get(row["actor_id"]) if row["actor_id"] else None
        channel = _channel(row["operation"], clients.get(row["client_id"], ""))
        key = (row["actor_kind"], row["actor_id"], channel)
        before = merged.get(key)
        merged[key] = Shown(
            actor_id=row["actor_id"],
            name=_name(row["actor_kind"], user),
            role=before.role if before else _role(row["actor_kind"], user, row["first"]),
            channel=channel,
            first=before.first if before else row["first"],
            last=max(row["last"], before.last) if before else row["last"],
            times=row["times"] + (before.times if before else 0),
        )
    return list(merged.values())


def _channel(operation: str, client_kind: str) -> str:
    if operation.removeprefix(STAFF_ONLY).startswith("admin."):
        return STAFF_SITE
    words = dict(OAuthClient.Kind.choices).get(client_kind, "")
    return str(words) or "portal"


def _name(kind: str, user: User | None) -> str:
    if kind == "patient":
        return "-"
    return "not known" if user is None else user.full_name


def _role(kind: str, user: User | None, at: datetime) -> str:
    if kind == "patient":
        return "The patient"
    if kind == "proxy":
        return "Caregiver"
    if kind != "staff" or user is None:
        return kind.capitalize()
    roles = Membership.objects.active_at(at).filter(user=user).values_list("role", flat=True)
    return ", ".join(sorted({role.replace("_", " ").capitalize() for role in roles})) or "Staff"
