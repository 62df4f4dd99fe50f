"""Each constraint, broken in SQL by the run-time role and by the owner of the tables."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connections, transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from accounts.models import Organization, User
from appointments.models import (
    Appointment,
    AppointmentHistory,
    Availability,
    AvailabilityException,
    Block,
    Location,
    PatientClaim,
    Resource,
    ResourceClaim,
    Schedule,
    VisitType,
    VisitTypeNeed,
)
from core.db import identity, system
from patients.models import Patient

pytestmark = pytest.mark.django_db(databases=["default", "owner"])

NINE = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def span(start: int, end: int) -> DateTimeTZRange:
    return DateTimeTZRange(NINE + start * HOUR, NINE + end * HOUR)


class Rows:
    """Valid rows of every table, made through one database role."""

    def __init__(self, alias: str) -> None:
        self.alias = alias
        self.user = self.add(User, email="rows@staff.example")
        self.organization = self.add(Organization, name="Rows", zone="Europe/Berlin")
        self.patient = self.person()
        self.location = self.add(
            Location, organization=self.organization, name="House", zone="Europe/Berlin"
        )
        self.resource = self.thing()
        self.visit_type = self.add(
            VisitType,
            organization=self.organization,
            code="visit",
            name="Visit",
            duration_minutes=30,
        )
        self.schedule = self.add(Schedule, resource=self.resource, location=self.location)
        self.visit = self.appointment()

    def add(self, model: type[Any], **fields: Any) -> Any:
        return model.objects.using(self.alias).create(**fields)

    def person(self) -> Patient:
        return self.add(
            Patient,
            family_name="Row",
            given_name="Ina",
            birth_date=date(1970, 1, 1),
            registered_at=NINE,
        )

    def thing(self) -> Resource:
        return self.add(
            Resource, organization=self.organization, kind="practitioner", name="Dr Row"
        )

    def appointment(self, **fields: Any) -> Appointment:
        return self.add(
            Appointment,
            **{
                "patient": self.patient,
                "status": "booked",
                "starts_at": NINE,
                "ends_at": NINE + HOUR,
                "zone": "Europe/Berlin",
                "local_date": date(2026, 11, 23),
                "local_time": time(9),
                "schedule": self.schedule,
                "location": self.location,
                "visit_type": self.visit_type,
                "booked_at": NINE,
                "created_via": "system",
                **fields,
            },
        )

    def claim(self, **fields: Any) -> ResourceClaim:
        return self.add(
            ResourceClaim,
            **{
                "resource": self.resource,
                "during": span(0, 1),
                "kind": "booking",
                "held_for": uuid4(),
                "made_at": NINE,
                **fields,
            },
        )

    def hers(self, **fields: Any) -> PatientClaim:
        return self.add(
            PatientClaim,
            **{
                "patient": self.patient,
                "appointment": self.visit,
                "during": span(0, 1),
                **fields,
            },
        )

    def weekly(self, **fields: Any) -> Availability:
        return self.add(
            Availability,
            **{
                "schedule": self.schedule,
                "iso_weekday": 1,
                "starts": time(9),
                "ends": time(12),
                "slot_step_minutes": 30,
                "valid_from": date(2026, 1, 1),
                **fields,
            },
        )

    def exception(self, **fields: Any) -> AvailabilityException:
        return self.add(
            AvailabilityException,
            **{
                "schedule": self.schedule,
                "date": date(2026, 11, 23),
                "kind": "extra",
                "starts": time(9),
                "ends": time(12),
                "slot_step_minutes": 30,
                **fields,
            },
        )

    def block(self, **fields: Any) -> Block:
        return self.add(
            Block,
            **{
                "resource": self.resource,
                "starts_at": NINE,
                "ends_at": NINE + HOUR,
                "reason": "Training",
                "made_at": NINE,
                "made_by": self.user,
                **fields,
            },
        )

    def history(self, **fields: Any) -> AppointmentHistory:
        return self.add(
            AppointmentHistory,
            **{
                "appointment": self.visit,
                "patient": self.patient,
                "version": 1,
                "action": "book",
                "status": "booked",
                "starts_at": NINE,
                "ends_at": NINE + HOUR,
                "at": NINE,
                "via": "system",
                **fields,
            },
        )


@pytest.fixture(params=["default", "owner"])
def rows(request: pytest.FixtureRequest) -> Iterator[Rows]:
    with identity(system("registration"), using=request.param):
        yield Rows(request.param)


def refused(rows: Rows, constraint: str, attempt: Callable[[], Any]) -> None:
    with (
        pytest.raises(IntegrityError, match=f'"{constraint}"'),
        transaction.atomic(using=rows.alias),
    ):
        attempt()


@pytest.mark.parametrize(
    ("start", "end", "meets"),
    [
        (0, 1, True),
        (-1, 2, True),
        (-1, 0, False),
        (1, 2, False),
    ],
)
def test_a_resource_is_claimed_once_at_a_time(
    rows: Rows, start: int, end: int, meets: bool
) -> None:
    rows.claim()
    if meets:
        refused(rows, "resource_claim_no_overlap", lambda: rows.claim(during=span(start, end)))
    else:
        rows.claim(during=span(start, end))


@pytest.mark.parametrize("kinds", [("booking", "block"), ("block", "hold"), ("hold", "booking")])
def test_claims_of_every_kind_keep_apart(rows: Rows, kinds: tuple[str, str]) -> None:
    first, second = (
        {"kind": kind, "expires_at": NINE if kind == "hold" else None} for kind in kinds
    )
    rows.claim(**first)
    refused(rows, "resource_claim_no_overlap", lambda: rows.claim(**second))


def test_lanes_other_resources_and_ended_claims_do_not_meet(rows: Rows) -> None:
    rows.claim()
    rows.claim(lane=1)
    rows.claim(resource=rows.thing())
    rows.claim(active=False, ended_at=NINE)


def test_an_ended_claim_cannot_come_back_over_another(rows: Rows) -> None:
    ended = rows.claim(active=False, ended_at=NINE)
    rows.claim()
    again = ResourceClaim.objects.using(rows.alias).filter(id=ended.id)
    refused(rows, "resource_claim_no_overlap", lambda: again.update(active=True, ended_at=None))


def test_a_patient_is_claimed_once_at_a_time(rows: Rows) -> None:
    rows.hers()
    other = rows.appointment()
    refused(
        rows,
        "patient_claim_no_overlap",
        lambda: rows.hers(appointment=other, during=span(-1, 1)),
    )
    rows.hers(appointment=other, during=span(1, 2))
    rows.hers(appointment=other, active=False)
    rows.hers(appointment=rows.appointment(), patient=rows.person())


def test_a_visit_has_one_active_claim_of_its_patient(rows: Rows) -> None:
    rows.hers()
    refused(rows, "patient_claim_active_once", lambda: rows.hers(during=span(1, 2)))
    rows.hers(during=span(1, 2), active=False)


@pytest.mark.parametrize(
    "during",
    [
        DateTimeTZRange(NINE, NINE),
        DateTimeTZRange(NINE, None),
        DateTimeTZRange(None, NINE),
        DateTimeTZRange(NINE, NINE + HOUR, "[]"),
        DateTimeTZRange(NINE, NINE + HOUR, "(]"),
    ],
)
def test_claims_have_both_ends(rows: Rows, during: DateTimeTZRange) -> None:
    refused(rows, "resource_claim_bounded", lambda: rows.claim(during=during))
    refused(rows, "patient_claim_bounded", lambda: rows.hers(during=during))


@pytest.mark.parametrize(
    ("kind", "expires", "allowed"),
    [
        ("hold", True, True),
        ("hold", False, False),
        ("booking", True, False),
        ("booking", False, True),
        ("block", True, False),
        ("block", False, True),
        ("other", False, False),
    ],
)
def test_only_holds_expire_and_all_do(rows: Rows, kind: str, expires: bool, allowed: bool) -> None:
    fields = {"kind": kind, "expires_at": NINE if expires else None}
    if allowed:
        rows.claim(**fields)
    else:
        refused(rows, "resource_claim_only_holds_expire", lambda: rows.claim(**fields))


@pytest.mark.parametrize(
    ("active", "ended", "allowed"),
    [(True, False, True), (True, True, False), (False, False, False), (False, True, True)],
)
def test_a_claim_has_ended_exactly_when_it_is_inactive(
    rows: Rows, active: bool, ended: bool, allowed: bool
) -> None:
    fields = {"active": active, "ended_at": NINE if ended else None}
    if allowed:
        rows.claim(**fields)
    else:
        refused(rows, "resource_claim_ended_when_inactive", lambda: rows.claim(**fields))


@pytest.mark.parametrize(
    ("cancelled", "at", "by", "reason"),
    [
        (cancelled, at, by, reason)
        for cancelled in (False, True)
        for at in (False, True)
        for by in (False, True)
        for reason in (False, True)
    ],
)
def test_a_visit_is_cancelled_by_somebody_at_a_time_for_a_reason_or_not_at_all(
    rows: Rows, cancelled: bool, at: bool, by: bool, reason: bool
) -> None:
    fields = {
        "status": "cancelled" if cancelled else "booked",
        "cancelled_at": NINE if at else None,
        "cancelled_by": rows.user if by else None,
        "cancellation_reason": "pat" if reason else "",
    }
    if cancelled == at == by == reason:
        rows.appointment(**fields)
    else:
        refused(
            rows,
            "appointment_cancelled_by_somebody_for_a_reason",
            lambda: rows.appointment(**fields),
        )


def test_a_visit_has_a_known_status_a_zone_and_a_duration(rows: Rows) -> None:
    refused(rows, "appointment_status_is_fhir", lambda: rows.appointment(status="maybe"))
    refused(rows, "appointment_has_zone", lambda: rows.appointment(zone=""))
    refused(rows, "appointment_start_before_end", lambda: rows.appointment(ends_at=NINE))


def test_history_has_each_version_once(rows: Rows) -> None:
    rows.history()
    rows.history(version=2)
    refused(rows, "appointment_history_version_once", rows.history)


def test_a_block_has_a_duration_and_is_lifted_by_somebody(rows: Rows) -> None:
    refused(rows, "block_start_before_end", lambda: rows.block(ends_at=NINE))
    refused(rows, "block_lifted_by_somebody", lambda: rows.block(lifted_at=NINE))
    refused(rows, "block_lifted_by_somebody", lambda: rows.block(lifted_by=rows.user))
    rows.block(lifted_at=NINE, lifted_by=rows.user)


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"iso_weekday": 0}, "availability_weekday"),
        ({"iso_weekday": 8}, "availability_weekday"),
        ({"ends": time(9)}, "availability_start_before_end"),
        ({"slot_step_minutes": 4}, "availability_step"),
        ({"slot_step_minutes": 481}, "availability_step"),
        ({"valid_until": date(2025, 12, 31)}, "availability_dates"),
    ],
)
def test_weekly_hours_make_sense(rows: Rows, fields: dict[str, Any], constraint: str) -> None:
    refused(rows, constraint, lambda: rows.weekly(**fields))


@pytest.mark.parametrize(
    ("fields", "meets"),
    [
        ({}, True),
        ({"starts": time(11, 59), "ends": time(13)}, True),
        ({"starts": time(12), "ends": time(13)}, False),
        ({"starts": time(8), "ends": time(9)}, False),
        ({"iso_weekday": 2}, False),
        ({"valid_from": date(2026, 6, 30)}, True),
        ({"valid_from": date(2026, 7, 1)}, False),
    ],
)
def test_weekly_hours_of_a_schedule_do_not_overlap(
    rows: Rows, fields: dict[str, Any], meets: bool
) -> None:
    rows.weekly(valid_until=date(2026, 6, 30))
    if meets:
        refused(rows, "availability_no_overlap", lambda: rows.weekly(**fields))
    else:
        rows.weekly(**fields)


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"slot_step_minutes": None}, "availability_exception_shape"),
        ({"slot_step_minutes": 4}, "availability_exception_shape"),
        ({"starts": None}, "availability_exception_shape"),
        ({"ends": None}, "availability_exception_shape"),
        ({"kind": "closed"}, "availability_exception_shape"),
        (
            {"kind": "closed", "slot_step_minutes": None, "ends": None},
            "availability_exception_shape",
        ),
        ({"kind": "other"}, "availability_exception_shape"),
        ({"ends": time(9)}, "availability_exception_start_before_end"),
    ],
)
def test_exceptions_have_the_times_of_their_kind(
    rows: Rows, fields: dict[str, Any], constraint: str
) -> None:
    refused(rows, constraint, lambda: rows.exception(**fields))


def test_closed_days_and_hours_are_accepted(rows: Rows) -> None:
    rows.exception(kind="closed", slot_step_minutes=None)
    rows.exception(kind="closed", slot_step_minutes=None, starts=None, ends=None)
    rows.exception()


@pytest.mark.parametrize(
    ("fields", "constraint"),
    [
        ({"duration_minutes": 4}, "visit_type_duration"),
        ({"duration_minutes": 1441}, "visit_type_duration"),
        ({"buffer_before_minutes": 241}, "visit_type_buffers"),
        ({"buffer_after_minutes": 241}, "visit_type_buffers"),
        ({"horizon_days": 0, "lead_time_minutes": 0}, "visit_type_horizon"),
        ({"horizon_days": 731}, "visit_type_horizon"),
        (
            {"horizon_days": 1, "lead_time_minutes": 1440},
            "visit_type_lead_time_within_horizon",
        ),
        ({"code": "visit"}, "visit_type_code_once"),
    ],
)
def test_visit_types_make_sense(rows: Rows, fields: dict[str, Any], constraint: str) -> None:
    base = {"organization": rows.organization, "code": "x", "name": "X", "duration_minutes": 30}
    if constraint == "visit_type_horizon" and fields["horizon_days"] == 0:
        # Nothing is left between lead time and horizon either: PostgreSQL may name that one.
        constraint = "visit_type_(horizon|lead_time_within_horizon)"
    refused(rows, constraint, lambda: rows.add(VisitType, **{**base, **fields}))


def test_supply_is_named_once(rows: Rows) -> None:
    refused(
        rows,
        "location_name_once",
        lambda: rows.add(
            Location, organization=rows.organization, name="House", zone="Europe/Berlin"
        ),
    )
    refused(
        rows,
        "location_has_zone",
        lambda: rows.add(Location, organization=rows.organization, name="Other", zone=""),
    )
    refused(
        rows,
        "schedule_name_once",
        lambda: rows.add(Schedule, resource=rows.resource, location=rows.location),
    )
    rows.add(VisitTypeNeed, visit_type=rows.visit_type, kind="room")
    refused(
        rows,
        "visit_type_need_once",
        lambda: rows.add(VisitTypeNeed, visit_type=rows.visit_type, kind="room"),
    )


@pytest.mark.parametrize("lanes", [0, 51])
def test_a_resource_has_some_lanes(rows: Rows, lanes: int) -> None:
    refused(
        rows,
        "resource_lanes",
        lambda: Resource.objects.using(rows.alias).filter(id=rows.resource.id).update(lanes=lanes),
    )


def test_the_owner_is_another_role_than_the_run_time_role(rows: Rows) -> None:
    with connections[rows.alias].cursor() as cursor:
        cursor.execute(
            "SELECT pg_get_userbyid(relowner) = current_user FROM pg_class "
            "WHERE relname = 'appointments_resourceclaim'"
        )
        assert cursor.fetchone()[0] is (rows.alias == "owner")
