"""The eCheck-in: she answers section by section, the server says when it is complete."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from appointments.models import (
    Appointment,
    AppointmentHistory,
    PreVisit,
    PreVisitAnswer,
    Section,
)
from appointments.prechecks import (
    ANSWERABLE,
    consents_asked,
    missing_sections,
    opens_at,
    said_in,
)
from appointments.services.permission import OWN
from appointments.services.visits import follow, locked
from core.errors import DomainError, FieldError, InvalidInput, NotFound
from core.ids import uuid7
from core.prepared import insert, update
from patients.viewer import Viewer

_Status = Appointment.Status


class CheckInNotOpen(DomainError):
    """The eCheck-in of this visit opens later."""

    code = "checkin-not-open"
    title = "The check-in for this visit opens later."


class CheckInClosed(DomainError):
    """The visit has begun, or is no longer going to take place."""

    code = "checkin-closed"
    title = "The check-in for this visit is closed."


class CheckInIncomplete(DomainError):
    """Sections are missing, or a consent text has changed since she answered."""

    code = "checkin-incomplete"
    title = "Some sections are not answered yet."


def answer(
    *,
    viewer: Viewer,
    appointment_id: UUID,
    section: str,
    said: Mapping[str, Any],
    now: datetime,
) -> PreVisit:
    """Keep what she says in one section, in place of what she said before.

    `said` has the section's shape already. Answering a complete eCheck-in leaves it complete.
    Raises: NotFound, CheckInNotOpen, CheckInClosed, InvalidInput for other consents than the
    clinic asks for.
    """
    visit = _answerable(viewer, appointment_id, now=now)
    assert viewer.user_id is not None
    if section not in visit.visit_type.checkin_sections:
        raise NotFound()
    if section == Section.CONSENTS:
        _check_consents(visit, said)
    began = _begun(visit, now=now)
    PreVisitAnswer.objects.filter(
        pre_visit=began, section=section, superseded_at__isnull=True
    ).update(superseded_at=now)
    insert(
        PreVisitAnswer(
            id=uuid7(now),
            pre_visit=began,
            patient_id=visit.patient_id,
            section=section,
            answer=json.dumps(said).encode(),
            answered_at=now,
            answered_by_id=viewer.user_id,
            via=viewer.kind,
        )
    )
    return began


def complete(*, viewer: Viewer, appointment_id: UUID, now: datetime) -> PreVisit:
    """Check her in, if every section is answered; doing it twice changes nothing.

    Raises: NotFound, CheckInNotOpen, CheckInClosed, CheckInIncomplete with what is missing.
    """
    visit = _answerable(viewer, appointment_id, now=now)
    began = PreVisit.objects.select_for_update().filter(appointment=visit).first()
    missing = missing_sections(visit, said_in(began), consents_asked(visit))
    if began is None or missing:
        raise CheckInIncomplete(extra={"missing": missing})
    if began.completed_at is None:
        began.completed_at, began.completed_by_id = now, viewer.user_id
        began.sections = list(visit.visit_type.checkin_sections)
        update(began, "completed_at", "completed_by", "sections")
        visit.status = _Status.CHECKED_IN
        visit.version += 1
        update(visit, "status", "version")
        follow(viewer, visit, action=AppointmentHistory.Action.STATUS, now=now)
    return began


def reopen(visit: Appointment) -> None:
    """Ask again for a visit that was moved: what she said stays, she says that it still holds."""
    PreVisit.objects.filter(appointment=visit, completed_at__isnull=False).update(
        completed_at=None, completed_by=None
    )


def _answerable(viewer: Viewer, appointment_id: UUID, *, now: datetime) -> Appointment:
    if viewer.kind not in OWN or viewer.user_id is None:
        raise NotFound()
    visit = locked(viewer, appointment_id)
    if not visit.visit_type.checkin_sections:
        raise NotFound()
    if visit.status not in ANSWERABLE or now >= visit.starts_at:
        raise CheckInClosed(extra={"appointment_status": visit.status})
    if now < opens_at(visit):
        raise CheckInNotOpen(extra={"opens": opens_at(visit).isoformat()})
    return visit


def _begun(visit: Appointment, *, now: datetime) -> PreVisit:
    found = PreVisit.objects.filter(appointment=visit).first()
    if found is None:
        found = PreVisit(
            id=uuid7(now),
            appointment=visit,
            patient_id=visit.patient_id,
            sections=list(visit.visit_type.checkin_sections),
            began_at=now,
        )
        insert(found)
    return found


def _check_consents(visit: Appointment, said: Mapping[str, Any]) -> None:
    wanted = {(text.code, text.version) for text in consents_asked(visit)}
    given = [(one["code"], one["version"]) for one in said["decisions"]]
    if len(given) != len(set(given)) or set(given) != wanted:
        raise InvalidInput(
            errors=(
                FieldError("decisions", "not-as-asked", "Answer each text that is asked, once."),
            )
        )
