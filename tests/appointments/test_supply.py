"""Setting up what can be booked: what does not make sense is refused with a reason."""

from datetime import date, time
from typing import Any

import pytest

from appointments import services
from appointments.models import Availability
from appointments.services.supply import TemplateNeverFits, TemplateOverlaps
from core.errors import InvalidInput
from tests.appointments.factories import MONDAY, Surgery, surgery
from tests.cast import Cast

pytestmark = pytest.mark.django_db


def add(clinic: Surgery, **fields: Any) -> Availability:
    return services.add_availability(
        schedule=clinic.schedule,
        **{
            "iso_weekday": 6,
            "starts": time(9),
            "ends": time(12),
            "slot_step_minutes": 30,
            "valid_from": MONDAY,
            **fields,
        },
    )


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "Europe"])
def test_a_location_has_a_zone_that_exists(cast: Cast, zone: str) -> None:
    with pytest.raises(InvalidInput):
        services.create_location(organization=cast.clinic, name="X", zone=zone)


def test_hours_fit_the_longest_visit(cast: Cast) -> None:
    clinic = surgery(cast.clinic, duration_minutes=45)
    with pytest.raises(TemplateNeverFits):
        add(clinic, ends=time(9, 44))
    assert add(clinic, ends=time(9, 45)).ends == time(9, 45)


def test_extra_hours_fit_the_longest_visit(cast: Cast) -> None:
    clinic = surgery(cast.clinic, duration_minutes=45)
    with pytest.raises(TemplateNeverFits):
        services.add_exception(
            schedule=clinic.schedule,
            on=MONDAY,
            kind="extra",
            starts=time(15),
            ends=time(15, 44),
            slot_step_minutes=15,
        )


def test_hours_do_not_overlap(cast: Cast) -> None:
    clinic = surgery(cast.clinic)
    add(clinic)
    with pytest.raises(TemplateOverlaps):
        add(clinic, starts=time(11), ends=time(13))
    add(clinic, starts=time(12), ends=time(13))


@pytest.mark.parametrize(
    "fields",
    [
        {"ends": time(9)},
        {"ends": time(8)},
        {"iso_weekday": 0},
        {"iso_weekday": 8},
        {"slot_step_minutes": 4},
        {"slot_step_minutes": 481},
        {"starts": time(9, 0, 30)},
        {"valid_until": date(2026, 11, 22)},
    ],
)
def test_hours_that_make_no_sense_are_refused(cast: Cast, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        add(surgery(cast.clinic), **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "extra"},
        {"kind": "extra", "starts": time(9), "ends": time(12)},
        {"kind": "closed", "starts": time(9)},
        {"kind": "closed", "starts": time(9), "ends": time(9)},
        {"kind": "closed", "slot_step_minutes": 30},
    ],
)
def test_exceptions_that_make_no_sense_are_refused(cast: Cast, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        services.add_exception(schedule=surgery(cast.clinic).schedule, on=MONDAY, **fields)


def test_a_schedule_keeps_to_one_organization_and_place(cast: Cast) -> None:
    ours, theirs = surgery(cast.clinic), surgery(cast.other_clinic)
    for resource, location, visit_type in (
        (theirs.doctor, ours.location, ours.visit_type),
        (ours.doctor, theirs.location, ours.visit_type),
        (ours.doctor, ours.location, theirs.visit_type),
        (surgery(cast.clinic).doctor, ours.location, ours.visit_type),
    ):
        with pytest.raises(InvalidInput):
            services.create_schedule(
                resource=resource, location=location, visit_types=[visit_type], name="second"
            )


def test_a_resource_stands_in_its_own_organization(cast: Cast) -> None:
    theirs = surgery(cast.other_clinic)
    with pytest.raises(InvalidInput):
        services.create_resource(
            organization=cast.clinic, kind="room", name="Room", location=theirs.location
        )
