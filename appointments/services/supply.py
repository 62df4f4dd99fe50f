"""Set up what can be booked. Rows are validated here, and once more by the database."""

from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import IntegrityError, transaction

from accounts.models import Organization
from appointments.models import (
    Availability,
    AvailabilityException,
    Block,
    Location,
    Resource,
    Schedule,
    VisitType,
    VisitTypeNeed,
)
from appointments.services.blocking import cover
from core.db import identity, system
from core.errors import DomainError, FieldError, InvalidInput


class TemplateNeverFits(InvalidInput):
    """The hours are shorter than a visit they are for."""

    code = "template-never-fits"
    title = "These hours are too short for a visit of this schedule."


class TemplateOverlaps(DomainError):
    """The schedule has hours then already."""

    code = "template-overlaps"
    title = "This schedule has hours at this time already."


class LanesInUse(DomainError):
    """Somebody is booked where there would be no place any more."""

    code = "lanes-in-use"
    title = "Visits are booked in places that would be gone. Move them first."


def _invalid(field: str, message: str) -> InvalidInput:
    return InvalidInput(errors=(FieldError(field, "invalid", message),))


def check_zone(zone: str) -> None:
    """Raises: InvalidInput when `zone` is not an IANA time zone."""
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise _invalid("zone", "Not an IANA time zone.") from error


def create_location(
    *,
    organization: Organization,
    name: str,
    zone: str,
    address: str = "",
    phone: str = "",
    directions: str = "",
) -> Location:
    """Return a new location. Raises: InvalidInput for an unknown zone."""
    check_zone(zone)
    return Location.objects.create(
        organization=organization,
        name=name,
        zone=zone,
        address=address,
        phone=phone,
        directions=directions,
    )


def create_resource(
    *,
    organization: Organization,
    kind: str,
    name: str,
    location: Location | None = None,
    lanes: int = 1,
) -> Resource:
    """Return a new practitioner, room, chair or scanner. Raises: InvalidInput."""
    if location is not None and location.organization_id != organization.id:
        raise _invalid("location", "Belongs to another organization.")
    return Resource.objects.create(
        organization=organization, kind=kind, name=name, location=location, lanes=lanes
    )


def save_resource(resource: Resource, *, now: datetime) -> None:
    """Save a resource with its number of places; blocks cover places that are new, too.

    Raises: LanesInUse.
    """
    with transaction.atomic():
        try:
            resource.save()
        except IntegrityError as error:
            if "resource_lanes_in_use" not in str(error.__cause__.diag.constraint_name):  # type: ignore[union-attr]
                raise
            raise LanesInUse() from error
        # Whoever sets up resources may have no business with visits.
        with identity(system("booking")):
            for block in Block.objects.filter(
                resource=resource, lifted_at__isnull=True, ends_at__gt=now
            ).order_by("starts_at", "id"):
                cover(block, now=now)


def create_visit_type(
    *,
    organization: Organization,
    code: str,
    name: str,
    duration_minutes: int,
    needs: Iterable[str] = (),
    **rules: Any,
) -> VisitType:
    """Return a new visit type that takes one resource of each kind in `needs` besides.

    `rules` are the other fields of VisitType: modality, buffers, lead time, horizon, booking
    policy, cut-off and preparation.
    """
    with transaction.atomic():
        made = VisitType.objects.create(
            organization=organization,
            code=code,
            name=name,
            duration_minutes=duration_minutes,
            **rules,
        )
        VisitTypeNeed.objects.bulk_create(
            [VisitTypeNeed(visit_type=made, kind=kind) for kind in needs]
        )
    return made


def check_schedule(
    *, resource: Resource, location: Location, visit_types: Iterable[VisitType]
) -> None:
    """Raises: InvalidInput when resource, location and visit types do not belong together."""
    owners = {resource.organization_id, location.organization_id} | {
        visit_type.organization_id for visit_type in visit_types
    }
    if len(owners) != 1:
        raise _invalid("visit_types", "Resource, location and visit types differ in owner.")
    if resource.location_id not in (None, location.id):
        raise _invalid("location", "The resource stands somewhere else.")


def create_schedule(
    *,
    resource: Resource,
    location: Location,
    visit_types: Iterable[VisitType],
    name: str = "",
) -> Schedule:
    """Return a new schedule without hours yet. Raises: InvalidInput."""
    offered = list(visit_types)
    check_schedule(resource=resource, location=location, visit_types=offered)
    with transaction.atomic():
        made = Schedule.objects.create(resource=resource, location=location, name=name)
        made.visit_types.set(offered)
    return made


def check_hours(
    *, starts: time, ends: time, step_minutes: int, visit_types: Iterable[VisitType]
) -> None:
    """Raises: InvalidInput, or TemplateNeverFits when some visit is longer than the hours."""
    if starts >= ends:
        raise _invalid("ends", "Ends before it starts.")
    if starts.second or starts.microsecond or ends.second or ends.microsecond:
        raise _invalid("starts", "Whole minutes, please.")
    if not 5 <= step_minutes <= 480:
        raise _invalid("slot_step_minutes", "From 5 to 480 minutes.")
    length = datetime.combine(date.min, ends) - datetime.combine(date.min, starts)
    for visit_type in visit_types:
        if timedelta(minutes=visit_type.duration_minutes) > length:
            raise TemplateNeverFits(
                errors=(FieldError("ends", "too-short", f"{visit_type.code} does not fit."),)
            )


def add_availability(
    *,
    schedule: Schedule,
    iso_weekday: int,
    starts: time,
    ends: time,
    slot_step_minutes: int,
    valid_from: date,
    valid_until: date | None = None,
) -> Availability:
    """Add weekly hours. Raises: InvalidInput, TemplateNeverFits, TemplateOverlaps."""
    if not 1 <= iso_weekday <= 7:
        raise _invalid("iso_weekday", "1 is Monday, 7 is Sunday.")
    if valid_until is not None and valid_until < valid_from:
        raise _invalid("valid_until", "Ends before it starts.")
    check_hours(
        starts=starts,
        ends=ends,
        step_minutes=slot_step_minutes,
        visit_types=schedule.visit_types.all(),
    )
    try:
        with transaction.atomic():
            return Availability.objects.create(
                schedule=schedule,
                iso_weekday=iso_weekday,
                starts=starts,
                ends=ends,
                slot_step_minutes=slot_step_minutes,
                valid_from=valid_from,
                valid_until=valid_until,
            )
    except IntegrityError as error:
        if "availability_no_overlap" not in str(error):
            raise
        raise TemplateOverlaps() from error


def add_exception(
    *,
    schedule: Schedule,
    on: date,
    kind: str,
    starts: time | None = None,
    ends: time | None = None,
    slot_step_minutes: int | None = None,
) -> AvailabilityException:
    """Close a date (or part of it), or add extra hours. Raises: InvalidInput."""
    if kind == AvailabilityException.Kind.EXTRA:
        if starts is None or ends is None or slot_step_minutes is None:
            raise _invalid("starts", "Extra hours need times and a step.")
        check_hours(
            starts=starts,
            ends=ends,
            step_minutes=slot_step_minutes,
            visit_types=schedule.visit_types.all(),
        )
    elif (starts is None) != (ends is None) or slot_step_minutes is not None:
        raise _invalid("starts", "Closed time has both times or none, and no step.")
    elif starts is not None and ends is not None and starts >= ends:
        raise _invalid("ends", "Ends before it starts.")
    return AvailabilityException.objects.create(
        schedule=schedule,
        date=on,
        kind=kind,
        starts=starts,
        ends=ends,
        slot_step_minutes=slot_step_minutes,
    )


def check_supply(schedule: Schedule) -> None:
    """Check a saved schedule and all its hours, as an editor that saves many rows must.

    Raises: InvalidInput, TemplateNeverFits.
    """
    visit_types = list(schedule.visit_types.all())
    check_schedule(resource=schedule.resource, location=schedule.location, visit_types=visit_types)
    for weekly in schedule.availabilities.all():
        check_hours(
            starts=weekly.starts,
            ends=weekly.ends,
            step_minutes=weekly.slot_step_minutes,
            visit_types=visit_types,
        )
    for extra in schedule.exceptions.filter(kind=AvailabilityException.Kind.EXTRA):
        if extra.starts is not None and extra.ends is not None and extra.slot_step_minutes:
            check_hours(
                starts=extra.starts,
                ends=extra.ends,
                step_minutes=extra.slot_step_minutes,
                visit_types=visit_types,
            )
