"""How visits and openings look to a phone: plain dicts, times in the clinic's zone."""

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from typing import Any

from appointments.finding import Offered
from appointments.models import Location, VisitType
from appointments.opening_ids import opening_id
from core.timeobject import TimeObject, time_object

# What `appointment_json` reads; hand it to `.values()`.
APPOINTMENT_FIELDS = (
    "id",
    "status",
    "starts_at",
    "ends_at",
    "zone",
    "sequence",
    "version",
    "booked_at",
    "created_via",
    "confirmed_at",
    "cancelled_at",
    "cancellation_reason",
    "visit_type_id",
    "visit_type__code",
    "visit_type__name",
    "visit_type__modality",
    "visit_type__preparation",
    "schedule__resource__name",
    "location_id",
    "location__name",
    "location__address",
    "location__phone",
    "location__directions",
)


# The same hours of the same clinic are shown to many people.
@lru_cache(maxsize=8192)
def time_of(instant: datetime, zone: str, language: str) -> TimeObject:
    return time_object(instant, zone, language)


def opening_json(offered: Offered, language: str) -> dict[str, Any]:
    """Return one opening; its id is what booking wants."""
    opening, supply = offered.opening, offered.supply
    return {
        "id": opening_id(
            schedule_id=opening.schedule_id,
            visit_type_id=opening.visit_type_id,
            starts_at=opening.starts_at,
        ),
        "start": time_of(opening.starts_at, supply.hours.zone, language),
        "end": time_of(opening.ends_at, supply.hours.zone, language),
        "visit_type": supply.visit_type_id,
        "schedule_id": supply.schedule_id,
        "practitioner": supply.resource_id,
        "with": supply.resource_name,
        "location": {"id": supply.location_id, "name": supply.location_name},
    }


def openings_json(offers: Iterable[Offered], language: str) -> list[dict[str, Any]]:
    return [opening_json(offered, language) for offered in offers]


def appointment_json(row: dict[str, Any], language: str) -> dict[str, Any]:
    """Return one visit from a row of `APPOINTMENT_FIELDS`."""
    zone = row["zone"]
    cancelled = None
    if row["cancelled_at"] is not None:
        cancelled = {
            "at": time_of(row["cancelled_at"], zone, language),
            "reason": row["cancellation_reason"],
        }
    return {
        "id": row["id"],
        "status": row["status"],
        "start": time_of(row["starts_at"], zone, language),
        "end": time_of(row["ends_at"], zone, language),
        "visit_type": {
            "id": row["visit_type_id"],
            "code": row["visit_type__code"],
            "name": row["visit_type__name"],
            "modality": row["visit_type__modality"],
            "preparation": row["visit_type__preparation"],
        },
        "with": row["schedule__resource__name"],
        "location": {
            "id": row["location_id"],
            "name": row["location__name"],
            "address": row["location__address"],
            "phone": row["location__phone"],
            "directions": row["location__directions"],
        },
        "sequence": row["sequence"],
        "version": row["version"],
        "booked": time_of(row["booked_at"], zone, language),
        "booked_via": row["created_via"],
        "confirmed": row["confirmed_at"] and time_of(row["confirmed_at"], zone, language),
        "cancelled": cancelled,
    }


# What `hold_json` reads; hand it to `.values()`.
HOLD_FIELDS = (
    "id",
    "starts_at",
    "ends_at",
    "zone",
    "expires_at",
    "renewed_at",
    "schedule_id",
    "visit_type_id",
    "schedule__resource__name",
    "location_id",
    "location__name",
)


def hold_json(row: dict[str, Any], language: str) -> dict[str, Any]:
    """Return one hold from a row of `HOLD_FIELDS`."""
    zone = row["zone"]
    return {
        "id": row["id"],
        "opening": opening_id(
            schedule_id=row["schedule_id"],
            visit_type_id=row["visit_type_id"],
            starts_at=row["starts_at"],
        ),
        "start": time_of(row["starts_at"], zone, language),
        "end": time_of(row["ends_at"], zone, language),
        "visit_type": row["visit_type_id"],
        "schedule_id": row["schedule_id"],
        "with": row["schedule__resource__name"],
        "location": {"id": row["location_id"], "name": row["location__name"]},
        "expires": time_object(row["expires_at"], zone, language),
        "renewable": row["renewed_at"] is None,
    }


def visit_type_json(row: VisitType) -> dict[str, Any]:
    return {
        "id": row.id,
        "code": row.code,
        "name": row.name,
        "modality": row.modality,
        "duration_minutes": row.duration_minutes,
        "booking_policy": row.booking_policy,
        "lead_time_minutes": row.lead_time_minutes,
        "horizon_days": row.horizon_days,
        "cancel_cutoff_minutes": row.cancel_cutoff_minutes,
        "preparation": row.preparation,
    }


def location_json(row: Location) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "zone": row.zone,
        "address": row.address,
        "phone": row.phone,
        "directions": row.directions,
    }
