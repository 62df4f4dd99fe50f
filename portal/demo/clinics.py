"""The demo's clinics, their people and what can be booked there."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from accounts import services as accounts
from accounts.models import DutyShift, Holiday, OAuthClient, OpeningHours, Organization, User
from accounts.roles import Role
from appointments import services as appointments
from appointments.models import VisitType
from labs.models import SenderName, SendingLaboratory
from portal.demo import accounts as logins
from portal.demo.desk import SECTIONS
from portal.demo.people import CLINICS, SENDERS, STAFF, Clinic, Sender
from portal.journeys.phone import REDIRECT

_YEAR = timedelta(days=365)


def open_clinic(clinic: Clinic, *, now: datetime) -> Organization:
    """Make an organization with hours and holidays; it opens once its roster stands."""
    made = Organization.objects.create(
        name=clinic.name,
        zone=clinic.zone,
        phone_day=clinic.phone_day,
        phone_24h=clinic.phone_24h,
    )
    OpeningHours.objects.bulk_create(
        [
            OpeningHours(organization=made, iso_weekday=day, opens=time(8), closes=time(17))
            for day in range(1, 6)
        ]
    )
    years = (now.year, now.year + 1)
    Holiday.objects.bulk_create(
        [
            Holiday(organization=made, date=date(year, month, day), name=name)
            for year in years
            for month, day, name in ((1, 1, "New Year"), (12, 25, "Winter holiday"))
        ]
    )
    return made


def appoint_staff(clinics: dict[str, Organization], *, now: datetime) -> dict[str, User]:
    """Open the accounts of the demo's staff and give each one role."""
    people: dict[str, User] = {}
    for person in STAFF:
        user = accounts.open_account(
            email=logins.staff_email(person.key),
            password=logins.DEMO_PASSWORD,
            given_name=person.given,
            family_name=person.family,
            zone=clinics[person.clinic].zone,
            is_staff=True,
            now=now,
        )
        accounts.appoint(
            user=user,
            organization=clinics[person.clinic],
            role=Role(person.role),
            valid_from=now - 2 * _YEAR,
            now=now,
        )
        people[person.key] = user
    return people


def write_roster(
    organization: Organization, *, nurse: User, doctor: User, phone: str, now: datetime
) -> None:
    """Put the nurse on duty in office hours and the doctor on call at all hours, for a year."""
    zone = ZoneInfo(organization.zone)
    first = now.astimezone(zone).date() - timedelta(days=7)
    days = [first + timedelta(days=n) for n in range(372)]
    duty = [
        DutyShift(
            organization=organization,
            user=nurse,
            starts_at=datetime.combine(day, time(8), zone),
            ends_at=datetime.combine(day, time(17), zone),
        )
        for day in days
        if day.isoweekday() <= 5
    ]
    on_call = [
        DutyShift(
            organization=organization,
            user=doctor,
            starts_at=datetime.combine(day, time(0), zone),
            ends_at=datetime.combine(day + timedelta(days=7), time(0), zone),
            on_call=True,
            page_phone=phone,
        )
        for day in days[::7]
    ]
    DutyShift.objects.bulk_create([*duty, *on_call])


def register_laboratory(sender: Sender, organization: Organization) -> SendingLaboratory:
    """Register a demo laboratory that speaks MLLP from this machine."""
    made = SendingLaboratory.objects.create(
        key=sender.key,
        name=sender.name,
        organization=organization,
        peer_networks=["127.0.0.0/8"],
        zone=sender.zone,
        decimal_comma=sender.decimal_comma,
        default_authority=sender.authority,
        allowed_authorities=[sender.authority],
    )
    SenderName.objects.create(laboratory=made, application="LIS", facility=sender.key.upper())
    return made


def register_gateway(organization: Organization) -> SendingLaboratory:
    """Register an interface engine, so that anybody's own message files can be tried."""
    return SendingLaboratory.objects.create(
        key="engine",
        name="Interface engine on this machine",
        organization=organization,
        peer_networks=["127.0.0.0/8"],
        zone=organization.zone,
        is_gateway=True,
        reuses_control_ids=True,
    )


def open_calendars(organization: Organization, location_name: str, *, now: datetime) -> None:
    """Make what patients can book: a clinic visit, a blood draw, an infusion, a scan."""
    today = now.astimezone(ZoneInfo(organization.zone)).date()
    location = appointments.create_location(
        organization=organization,
        name=location_name,
        zone=organization.zone,
        address="1 Lime Tree Lane",
        phone=organization.phone_day,
        directions="Second floor. The lift is behind the front desk.",
    )
    visit = appointments.create_visit_type(
        organization=organization,
        code="clinic-visit",
        name="Visit with your doctor",
        duration_minutes=30,
        lead_time_minutes=120,
        horizon_days=90,
        booking_policy=VisitType.BookingPolicy.DIRECT,
        preparation="Bring the list of your medicines.",
        checkin_sections=SECTIONS,
        checkin_opens_hours=120,
    )
    draw = appointments.create_visit_type(
        organization=organization,
        code="blood-draw",
        name="Blood draw",
        duration_minutes=10,
        lead_time_minutes=60,
        horizon_days=90,
        booking_policy=VisitType.BookingPolicy.DIRECT,
        preparation="You may drink water.",
    )
    infusion = appointments.create_visit_type(
        organization=organization,
        code="infusion",
        name="Infusion",
        duration_minutes=120,
        lead_time_minutes=1440,
        horizon_days=60,
        booking_policy=VisitType.BookingPolicy.REQUEST,
        preparation="Eat something light before you come.",
    )
    scan = appointments.create_visit_type(
        organization=organization,
        code="scan",
        name="CT scan",
        duration_minutes=30,
        lead_time_minutes=1440,
        horizon_days=60,
        booking_policy=VisitType.BookingPolicy.TICKET,
        preparation="Drink a litre of water in the hour before.",
    )
    for kind, name, offered, step, opens, closes in (
        ("practitioner", "Dr Engel", [visit], 30, time(9), time(13)),
        ("practitioner", "Dr Ruiz", [visit], 30, time(10), time(16)),
        ("room", "Blood draw room", [draw], 10, time(8), time(11)),
        ("chair", "Infusion chair 1", [infusion], 120, time(9), time(15)),
        ("scanner", "CT scanner", [scan], 30, time(8), time(12)),
    ):
        resource = appointments.create_resource(
            organization=organization, kind=kind, name=name, location=location
        )
        schedule = appointments.create_schedule(
            resource=resource, location=location, visit_types=offered, name=name
        )
        for weekday in range(1, 6):
            appointments.add_availability(
                schedule=schedule,
                iso_weekday=weekday,
                starts=opens,
                ends=closes,
                slot_step_minutes=step,
                valid_from=today - timedelta(days=30),
            )


def register_clients(laboratory: SendingLaboratory, *, now: datetime) -> str:
    """Register the demo's phone, desk tool and laboratory client; return the client secret.

    Their public ids are fixed, so that `make journey` and the documents can name them.
    """
    phone = accounts.register_mobile_client(
        name="Linden demo phone", redirect_uris=(REDIRECT, "http://127.0.0.1/callback"), now=now
    )
    desk = accounts.register_staff_tool_client(
        name="Linden demo desk", redirect_uris=(REDIRECT,), now=now
    )
    system = accounts.register_laboratory_client(name="Main Laboratory", now=now)
    for made, fixed in (
        (phone, logins.PHONE_CLIENT),
        (desk, logins.DESK_CLIENT),
        (system.client_id, logins.LABORATORY_CLIENT),
    ):
        OAuthClient.objects.filter(client_id=made).update(client_id=fixed)
    laboratory.client_id = logins.LABORATORY_CLIENT
    laboratory.save(update_fields=["client_id"])
    return system.client_secret


def all_clinics(*, now: datetime) -> dict[str, Organization]:
    """Make every clinic of the demo, closed still."""
    return {clinic.key: open_clinic(clinic, now=now) for clinic in CLINICS}


def all_laboratories(clinics: dict[str, Organization]) -> dict[str, SendingLaboratory]:
    """Register every laboratory of the demo."""
    return {sender.key: register_laboratory(sender, clinics[sender.clinic]) for sender in SENDERS}
