"""What she said before a visit, on the staff's page of the visit."""

import json
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from accounts.admin_base import roles_of
from accounts.roles import Role
from appointments.models import Appointment, PreVisit, Section
from appointments.prechecks import consents_asked, missing_sections, said_in

CLINICAL = frozenset({Section.MEDICINES, Section.ALLERGIES, Section.SYMPTOMS})
_READ_CLINICAL = frozenset({Role.NURSE, Role.CLINICIAN})


def _listed(said: dict[str, Any], *fields: str) -> str:
    if said["none"]:
        return "none"
    return "; ".join(
        ", ".join(str(one[field]) for field in fields if one.get(field)) for one in said["items"]
    )


def _demographics(said: dict[str, Any]) -> str:
    if said["unchanged"]:
        return "as the clinic has them"
    contact = said.get("emergency_contact") or {}
    changes = {
        "phone": said.get("phone"),
        "address": said.get("address"),
        "emergency contact": " ".join(filter(None, (contact.get("name"), contact.get("phone")))),
    }
    return "to change: " + "; ".join(f"{what} {new}" for what, new in changes.items() if new)


def said_words(section: str, said: dict[str, Any]) -> str:
    """Return an answer as staff read it, on one line."""
    match section:
        case Section.DEMOGRAPHICS:
            return _demographics(said)
        case Section.MEDICINES:
            return _listed(said, "name", "dose", "how_often")
        case Section.ALLERGIES:
            return _listed(said, "substance", "reaction")
        case Section.SYMPTOMS:
            return "something is new: ask her" if said["anything_new"] else "nothing new"
        case _:
            return "; ".join(
                f"{one['code']} ({one['version']}) {one['decision']}" for one in said["decisions"]
            )


class ShowsPreVisit:
    """Adds the eCheck-in to a page of a visit.

    The desk reads what it has to change and what she consented to; medicines, allergies and
    symptoms are for nurses and clinicians.
    """

    def echeckin_field(self, request: HttpRequest, visit: Appointment) -> list[str]:
        """Return the field that this viewer's roles may read; none when nothing is asked."""
        if not visit.visit_type.checkin_sections:
            return []
        return ["echeckin" if roles_of(request) & _READ_CLINICAL else "echeckin_at_the_desk"]

    @admin.display(description="Check-in from home")
    def echeckin(self, visit: Appointment) -> SafeString:
        return self._shown(visit, hidden=frozenset())

    @admin.display(description="Check-in from home")
    def echeckin_at_the_desk(self, visit: Appointment) -> SafeString:
        return self._shown(visit, hidden=CLINICAL)

    @staticmethod
    def _shown(visit: Appointment, *, hidden: frozenset[Section]) -> SafeString:
        said = said_in(PreVisit.objects.filter(appointment=visit).first())
        missing = missing_sections(visit, said, consents_asked(visit))
        rows = []
        for section in visit.visit_type.checkin_sections:
            if section in missing:
                words = "not answered" if section not in said else "to be asked again"
            elif section in hidden:
                words = "answered; for nurses and clinicians"
            else:
                words = said_words(section, json.loads(said[section]))
            rows.append((Section(section).label, words))
        return format_html(
            "<dl>{}</dl>",
            format_html_join("", "<dt><b>{}</b></dt><dd style='margin-bottom:.5rem'>{}</dd>", rows),
        )
