"""A busy house of one part: few practitioners, fewer rooms, many patients."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from accounts.models import Membership, User
from accounts.roles import Role
from appointments import services
from appointments.opening_ids import opening_id
from bench.loader.people import ZONE, Clinic, Person, load_people, open_clinic
from bench.proof.parts.reminders import zone_at_noon
from bench.proof.visit_history import Kind, Place, Supply
from bench.proof.world import owner

OPENS, CLOSES, STEP_MINUTES = time(8), time(16), 30
KINDS = {
    "talk": Kind(lasts=30 * 60),
    "scan": Kind(lasts=60 * 60, after=15 * 60, takes_room=True),
}
ANSWER_MINUTES = 60


@dataclass(frozen=True)
class Surgery:
    """What there is to book. `names` says which schedule a practitioner's name stands for."""

    clinic: Clinic
    people: list[Person]
    staff: User
    supply: Supply
    kinds: dict[str, UUID]
    names: dict[str, str]
    days: list[date]

    def opening(self, place: Place) -> str:
        return opening_id(
            schedule_id=UUID(place.schedule),
            visit_type_id=self.kinds[place.kind],
            starts_at=datetime.fromtimestamp(place.starts, UTC),
        )


def open_surgery(
    *, patients: int, practitioners: int, rooms: int, days: int, now: datetime
) -> Surgery:
    """Set up the house; it is noon for everybody, so that nobody's quiet hours delay offers."""
    clinic = open_clinic(now=now)
    with owner() as connection:
        people = load_people(connection, count=patients, clinic=clinic, now=now)
        connection.execute("UPDATE accounts_user SET zone = %s", [zone_at_noon(now)])
    place = services.create_location(
        organization=clinic.organization, name="Proof House", zone=ZONE
    )
    types = {
        code: services.create_visit_type(
            organization=clinic.organization,
            code=code,
            name=code.title(),
            duration_minutes=kind.lasts // 60,
            needs=["room"] if kind.takes_room else [],
            buffer_before_minutes=kind.before // 60,
            buffer_after_minutes=kind.after // 60,
            booking_policy="direct",
            waitlist_answer_minutes=ANSWER_MINUTES,
        )
        for code, kind in KINDS.items()
    }
    names, resources = {}, {}
    for number in range(practitioners):
        doctor = services.create_resource(
            organization=clinic.organization,
            kind="practitioner",
            name=f"Practitioner {number + 1}",
            location=place,
        )
        schedule = services.create_schedule(
            resource=doctor, location=place, visit_types=list(types.values())
        )
        for weekday in range(1, 6):
            services.add_availability(
                schedule=schedule,
                iso_weekday=weekday,
                starts=OPENS,
                ends=CLOSES,
                slot_step_minutes=STEP_MINUTES,
                valid_from=now.date(),
            )
        names[doctor.name] = str(schedule.id)
        resources[str(schedule.id)] = str(doctor.id)
    stands = [
        services.create_resource(
            organization=clinic.organization, kind="room", name=f"Room {number}", location=place
        )
        for number in range(rooms)
    ]
    worked = _working_days(now, days)
    openings = frozenset(
        opening
        for schedule in resources
        for code, kind in KINDS.items()
        for day in worked
        for opening in _day(schedule, code, kind, day)
    )
    return Surgery(
        clinic=clinic,
        people=people,
        staff=_staff(clinic, now),
        supply=Supply(resources, [str(room.id) for room in stands], KINDS, openings),
        kinds={code: made.id for code, made in types.items()},
        names=names,
        days=worked,
    )


def _working_days(now: datetime, count: int) -> list[date]:
    """Return the next working days at the clinic, from the day after tomorrow on."""
    today = now.astimezone(ZoneInfo(ZONE)).date()
    days = (today + timedelta(days=ahead) for ahead in range(2, 3 * count + 4))
    return [day for day in days if day.isoweekday() <= 5][:count]


def _day(schedule: str, code: str, kind: Kind, day: date) -> list[Place]:
    zone = ZoneInfo(ZONE)
    opens, closes = (int(datetime.combine(day, at, zone).timestamp()) for at in (OPENS, CLOSES))
    starts = range(opens, closes - kind.lasts + 1, STEP_MINUTES * 60)
    return [Place(schedule, code, start, start + kind.lasts) for start in starts]


def _staff(clinic: Clinic, now: datetime) -> User:
    user = User(email="desk@example.org", given_name="Proof", family_name="Desk", joined_at=now)
    user.set_unusable_password()
    user.save(using="owner")
    Membership.objects.using("owner").create(
        user=user, organization=clinic.organization, role=Role.FRONT_DESK, valid_from=now
    )
    return user
