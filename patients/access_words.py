"""The access log in plain words: who looked at what, as she would say it."""

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from core.models import AuditEvent

_AREAS = {
    "record": gettext_noop("your personal details"),
    "appointments": gettext_noop("your appointments"),
    "labs": gettext_noop("your test results"),
    "symptoms": gettext_noop("how you said you feel"),
    "messages": gettext_noop("your messages"),
    "education": gettext_noop("what you saved to read"),
    "billing": gettext_noop("your bills"),
    "export": gettext_noop("a copy of your record"),
    "notifications": gettext_noop("the notices sent to you"),
    "worklist": gettext_noop("the care team's to-do list about you"),
    "intake": gettext_noop("laboratory messages about you"),
    "audit": gettext_noop("this list of who looked"),
}
_ACTIONS = {
    AuditEvent.Action.READ: gettext_noop("%(who)s looked at %(what)s."),
    AuditEvent.Action.CREATE: gettext_noop("%(who)s added to %(what)s."),
    AuditEvent.Action.UPDATE: gettext_noop("%(who)s changed %(what)s."),
    AuditEvent.Action.DELETE: gettext_noop("%(who)s removed something from %(what)s."),
    AuditEvent.Action.EXECUTE: gettext_noop("%(who)s used %(what)s."),
}
_REFUSED = gettext_noop("%(who)s tried to open %(what)s and was refused.")


def what_words(area: str) -> str:
    """Return the words for an area of the record."""
    return _(_AREAS.get(area, gettext_noop("your record")))


def who_words(actor_kind: str, name: str, *, herself: bool) -> str:
    """Return the words for the actor; a person with her name, a machine by what it is."""
    if herself:
        return _("You")
    if actor_kind == "staff":
        return _("%(name)s of the clinic") % {"name": name} if name else _("Someone of the clinic")
    if actor_kind == "proxy":
        return _("%(name)s, for you") % {"name": name} if name else _("Somebody for you")
    if actor_kind == "machine":
        return _("A laboratory's system")
    return _("The portal itself")


def sentence(action: str, who: str, what: str, *, refused: bool) -> str:
    """Return the whole line."""
    pattern = _REFUSED if refused else _ACTIONS[AuditEvent.Action(action)]
    return _(pattern) % {"who": who, "what": what}
