"""How the waitlist looks to a phone: plain dicts, times in the clinic's zone."""

from datetime import datetime
from typing import Any

from appointments.api.presentation import time_of
from appointments.models import WaitlistEntry, WaitlistOffer
from appointments.waiting import PARTS_OF_DAY, Window
from core.timeobject import time_object, time_object_or_none

_FHIR = {
    WaitlistEntry.Status.ACTIVE: "waitlist",
    WaitlistEntry.Status.FULFILLED: "booked",
    WaitlistEntry.Status.WITHDRAWN: "cancelled",
    WaitlistEntry.Status.EXPIRED: "cancelled",
}
_ANSWERS = {
    WaitlistOffer.Status.ACCEPTED: "accepted",
    WaitlistOffer.Status.DECLINED: "declined",
}

# What `offer_json` reads; hand it to `.values()`.
OFFER_FIELDS = (
    "id",
    "status",
    "entry_id",
    "offered_at",
    "answer_until",
    "appointment_id",
    "entry__appointment_id",
    "entry__visit_type_id",
    "entry__visit_type__code",
    "entry__visit_type__name",
    "hold__starts_at",
    "hold__ends_at",
    "hold__zone",
    "hold__location_id",
    "hold__location__name",
    "hold__schedule__resource__name",
)


def window_of_request(given: dict[str, Any]) -> Window:
    """Return a window from a validated request."""
    part = PARTS_OF_DAY.get(given["part_of_day"] or "")
    time_from, time_until = part or (given["time_from"], given["time_until"])
    return Window(
        first_on=given["from"],
        last_on=given["until"],
        iso_weekdays=frozenset(given["weekdays"]),
        time_from=time_from,
        time_until=time_until,
    )


def entry_json(entry: WaitlistEntry, language: str) -> dict[str, Any]:
    """Return one entry of `waitlists.shown_entries`."""
    kind = entry.visit_type
    zone = kind.organization.zone
    return {
        "id": entry.id,
        "status": entry.status,
        "appointment_status": _FHIR[WaitlistEntry.Status(entry.status)],
        "visit_type": {"id": kind.id, "code": kind.code, "name": kind.name},
        "appointment": entry.appointment_id,
        "windows": [
            {
                "from": row.first_on,
                "until": row.last_on,
                "weekdays": row.iso_weekdays,
                "time_from": row.time_from and f"{row.time_from:%H:%M}",
                "time_until": row.time_until and f"{row.time_until:%H:%M}",
            }
            for row in entry.windows.all()
        ],
        "locations": [{"id": place.id, "name": place.name} for place in entry.locations.all()],
        "minimum_notice_minutes": entry.minimum_notice_minutes,
        "waiting_since": time_object(entry.made_at, zone, language),
        "ended": time_object_or_none(entry.ended_at, zone, language),
        "ending": entry.ending or None,
        "open_offer": entry.open_offer,  # type: ignore[attr-defined]
    }


def offer_json(row: dict[str, Any], language: str, *, now: datetime) -> dict[str, Any]:
    """Return one offer from a row of `OFFER_FIELDS`; over at its end, whoever has noted it."""
    status, zone = WaitlistOffer.Status(row["status"]), row["hold__zone"]
    if status == WaitlistOffer.Status.OPEN and row["answer_until"] <= now:
        status = WaitlistOffer.Status.EXPIRED
    return {
        "id": row["id"],
        "status": status.value,
        "participant_status": _ANSWERS.get(status, "needs-action"),
        "entry": row["entry_id"],
        "start": time_of(row["hold__starts_at"], zone, language),
        "end": time_of(row["hold__ends_at"], zone, language),
        "visit_type": {
            "id": row["entry__visit_type_id"],
            "code": row["entry__visit_type__code"],
            "name": row["entry__visit_type__name"],
        },
        "with": row["hold__schedule__resource__name"],
        "location": {"id": row["hold__location_id"], "name": row["hold__location__name"]},
        "instead_of": row["entry__appointment_id"],
        "offered": time_object(row["offered_at"], zone, language),
        "answer_until": time_object(row["answer_until"], zone, language),
        "visit": row["appointment_id"],
    }
