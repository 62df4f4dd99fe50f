"""Reads of the eCheck-in: what is asked before a visit, what she said, what is missing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from appointments.models import Appointment, ConsentText, PreVisit, PreVisitAnswer, Section
from appointments.selectors import appointments_for
from core.errors import NotFound
from patients.viewer import Viewer

# A visit that may still be checked in for.
ANSWERABLE = frozenset({Appointment.Status.BOOKED, Appointment.Status.CHECKED_IN})


@dataclass(frozen=True, slots=True)
class PreVisitState:
    """The eCheck-in of one visit; `said` has every section asked for, in the clinic's order."""

    visit: Appointment
    opens_at: datetime
    is_open: bool
    completed_at: datetime | None
    said: dict[str, bytes | None]
    missing: list[str]
    consents: list[ConsentText]


def opens_at(visit: Appointment) -> datetime:
    """Return when the eCheck-in of a visit opens."""
    return visit.starts_at - timedelta(hours=visit.visit_type.checkin_opens_hours)


def consents_asked(visit: Appointment) -> list[ConsentText]:
    """Return the texts that the visit's clinic asks about now."""
    return list(
        ConsentText.objects.filter(
            organization_id=visit.visit_type.organization_id, retired_at__isnull=True
        ).order_by("code")
    )


def said_in(began: PreVisit | None) -> dict[str, bytes]:
    """Return what she said last in each section, as JSON."""
    if began is None:
        return {}
    current = PreVisitAnswer.objects.filter(pre_visit=began, superseded_at__isnull=True)
    return {given.section: bytes(given.answer) for given in current}


def missing_sections(
    visit: Appointment, said: Mapping[str, bytes], consents: list[ConsentText]
) -> list[str]:
    """Return the sections that are asked for and not answered, or no longer as asked."""
    missing = [section for section in visit.visit_type.checkin_sections if section not in said]
    if Section.CONSENTS in said and Section.CONSENTS in visit.visit_type.checkin_sections:
        wanted = {(text.code, text.version) for text in consents}
        decisions = json.loads(said[Section.CONSENTS])["decisions"]
        if {(one["code"], one["version"]) for one in decisions} != wanted:
            missing.append(str(Section.CONSENTS))
    return missing


def pre_visit(viewer: Viewer, *, appointment_id: UUID, now: datetime) -> PreVisitState:
    """Return the eCheck-in of a visit in reach. Raises: NotFound, also when none is asked for."""
    visit = (
        appointments_for(viewer)
        .select_related("visit_type", "location", "pre_visit")
        .filter(id=appointment_id)
        .first()
    )
    if visit is None or not visit.visit_type.checkin_sections:
        raise NotFound()
    began: PreVisit | None = getattr(visit, "pre_visit", None)
    said = said_in(began)
    consents = consents_asked(visit)
    return PreVisitState(
        visit=visit,
        opens_at=opens_at(visit),
        is_open=visit.status in ANSWERABLE and opens_at(visit) <= now < visit.starts_at,
        completed_at=None if began is None else began.completed_at,
        said={section: said.get(section) for section in visit.visit_type.checkin_sections},
        missing=missing_sections(visit, said, consents),
        consents=consents,
    )
