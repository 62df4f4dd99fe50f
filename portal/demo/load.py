"""Write the whole demo, in the order in which it would have happened."""

import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

from accounts import services as accounts
from accounts.models import Organization, User
from accounts.scopes import Scope, areas_of
from appointments import finding
from appointments import selectors as appointment_selectors
from appointments import services as appointments
from appointments.models import Appointment
from appointments.opening_ids import opening_id
from core.db import identity, system
from education import services as education
from labs.services.intake import receive
from labs.services.senders import Origin
from patients.models import Patient
from patients.viewer import Viewer, staff_viewer
from portal.demo import clinics as make
from portal.demo import desk, records
from portal.demo.messages import Draw, oru
from portal.demo.people import CLINICS, PEOPLE, SENDERS, Person, Sender
from symptoms import services as symptoms
from symptoms.answers import Sent
from symptoms.models import CheckIn, QuestionnaireItem
from symptoms.services.questionnaires import SHIPPED
from worklist import services as worklist
from worklist.models import WorkItem

CONTENT = Path(__file__).resolve().parent.parent.parent / "education" / "content"
_CHECKED_IN = ("anna", "maria", "rosa", "walter")
_WEEKS = 6
_OLD = timedelta(days=10)


@dataclass
class Demo:
    """One load: `as_of` is the demo's today, `seed` decides every invented number."""

    seed: int
    as_of: datetime
    say: Callable[[str], None]
    organizations: dict[str, Organization] = field(default_factory=dict)
    staff: dict[str, User] = field(default_factory=dict)
    patients: dict[str, Patient] = field(default_factory=dict)
    booked: dict[str, Appointment] = field(default_factory=dict)
    laboratory_secret: str = ""

    def load(self) -> None:
        """Write everything. Runs once on an empty database."""
        self.content()
        self.clinics()
        self.people()
        self.results()
        self.check_ins()
        self.visits()
        self.desk()

    def content(self) -> None:
        summary = education.import_content(directory=CONTENT, now=self.as_of)
        for path in SHIPPED:
            symptoms.load_questionnaire(path, now=self.as_of - records.TWO_YEARS)
        self.say(f"{len(summary.published)} articles, weekly questions")

    def clinics(self) -> None:
        now = self.as_of
        self.organizations = make.all_clinics(now=now)
        self.staff = make.appoint_staff(self.organizations, now=now)
        for clinic, nurse, doctor in (("lindenhof", "nora", "clara"), ("harbor", "olive", "dan")):
            organization = self.organizations[clinic]
            make.write_roster(
                organization,
                nurse=self.staff[nurse],
                doctor=self.staff[doctor],
                phone=organization.phone_24h,
                now=now,
            )
            accounts.activate_organization(organization_id=organization.pk, now=now)
        with identity(system("lab-intake")):
            laboratories = make.all_laboratories(self.organizations)
            make.register_gateway(self.organizations["lindenhof"])
            self.laboratory_secret = make.register_clients(laboratories["mainlab"], now=now)
        with identity(system("booking")):
            for made in CLINICS:
                make.open_calendars(
                    self.organizations[made.key], f"{made.name}, main building", now=now
                )
                desk.ask_for_consent(self.organizations[made.key], now=now)
        self.say(f"{len(self.organizations)} clinics, {len(self.staff)} staff")

    def people(self) -> None:
        for person in PEOPLE:
            authority = _sender(person).authority
            patient = records.register(
                person, self.organizations, authority=authority, as_of=self.as_of
            )
            records.add_profile(person, patient, as_of=self.as_of)
            self.patients[person.key] = patient
        records.add_care_team(self.staff, self.patients, as_of=self.as_of)
        for person in PEOPLE:
            if person.caregiver:
                records.add_caregiver(person, self.patients[person.key], as_of=self.as_of)
        self.say(f"{len(self.patients)} patients")

    def results(self) -> None:
        sent = sorted(self._draws(), key=lambda entry: entry[2].collected_at)
        died = {person.key: person for person in PEOPLE if person.died_days_ago is not None}
        recent = next(n for n, (*_, d) in enumerate(sent) if d.collected_at > self.as_of - _OLD)
        for number, (person, sender, draw) in enumerate(sent):
            if number == recent:
                self.tidy()
            message = oru(person, sender, draw, control_id=f"{person.record_number}-{draw.number}")
            origin = Origin(door="mllp", peer="127.0.0.1")
            answer = receive(message, origin=origin, now=draw.collected_at + timedelta(hours=3))
            if answer.disposition != "stored":
                raise RuntimeError(f"a demo message ended {answer.disposition}: {answer.reasons}")
        for person in (*died.values(), *(p for p in PEOPLE if p.pause)):
            records.end_contact(person, self.patients[person.key], as_of=self.as_of)
        self.say(f"{len(sent)} laboratory messages")

    def _draws(self) -> Iterator[tuple[Person, Sender, Draw]]:
        for person in PEOPLE:
            sender = _sender(person)
            zone = sender.zone
            for draw in records.draws_of(person, zone, seed=self.seed, as_of=self.as_of):
                yield person, sender, draw

    def viewer(self, key: str) -> Viewer:
        """Return a demo patient as her own phone would be seen."""
        patient = self.patients[key]
        scopes = frozenset(str(scope) for scope in Scope)
        return Viewer(
            kind="patient",
            user_id=patient.user_id,
            patient_id=patient.pk,
            scopes=scopes,
            areas=areas_of(scopes),
            client_id="demo",
            zone=patient.zone,
        )

    def check_ins(self) -> None:
        dice = random.Random(f"{self.seed}:check-ins")  # noqa: S311
        began = self.as_of - timedelta(weeks=_WEEKS)
        for key in _CHECKED_IN:
            patient = self.patients[key]
            local = began.astimezone(ZoneInfo(patient.zone))
            with identity(self.viewer(key).identity):
                symptoms.create_plan(
                    patient_id=patient.pk,
                    questionnaire_key="weekly-general",
                    organization_id=self.organizations["lindenhof"].pk,
                    iso_weekday=local.isoweekday(),
                    hour=10,
                    zone=patient.zone,
                    starts_on=local.date(),
                    now=began,
                )
        answered = 0
        for week in range(_WEEKS):
            at = began + timedelta(weeks=week)
            zone = ZoneInfo("Europe/Berlin")
            at = datetime.combine(at.astimezone(zone).date(), time(11), zone)
            symptoms.plan_check_ins(now=at)
            for key in _CHECKED_IN:
                answered += self._answer(key, week, at, dice)
        self.say(f"{answered} check-ins answered")

    def _answer(self, key: str, week: int, at: datetime, dice: random.Random) -> int:
        with identity(self.viewer(key).identity):
            check_in = (
                CheckIn.objects.filter(patient_id=self.patients[key].pk, status=CheckIn.Status.OPEN)
                .order_by("due_on")
                .last()
            )
            if check_in is None:
                return 0
            worse = 2 if week >= _WEEKS - 2 and key in ("anna", "rosa") else 1
            answers = [
                _answer_to(item, dice, worse)
                for item in check_in.version.items.all()
                if item.required and not item.enabled_by
            ]
            symptoms.submit_check_in(
                viewer=self.viewer(key),
                check_in_id=check_in.pk,
                client_id=uuid.UUID(int=dice.getrandbits(128), version=4),
                answers=answers,
                questionnaire_version=None,
                now=at + timedelta(hours=2),
            )
        return 1

    def visits(self) -> None:
        for number, key in enumerate(("anna", "maria", "li", "sarah", "fatima", "grace", "eva")):
            viewer = self.viewer(key)
            with identity(viewer.identity):
                patient_id = self.patients[key].pk
                visit_type = appointment_selectors.visit_types_for(
                    viewer, patient_id=patient_id, now=self.as_of
                ).get(code="clinic-visit")
                page = finding.openings_for(
                    viewer,
                    patient_id=patient_id,
                    visit_type_id=visit_type.pk,
                    first=None,
                    last=None,
                    now=self.as_of,
                    limit=40,
                )
                opening = page.items[number * 5].opening
                self.booked[key] = appointments.book(
                    viewer=viewer,
                    opening=opening_id(
                        schedule_id=opening.schedule_id,
                        visit_type_id=opening.visit_type_id,
                        starts_at=opening.starts_at,
                    ),
                    now=self.as_of,
                )
        self.say(f"{len(self.booked)} visits")

    def desk(self) -> None:
        """Leave work for the front desk."""
        for key, whole in (("anna", True), ("maria", False)):
            desk.check_in_from_home(self.viewer(key), self.booked[key], now=self.as_of, whole=whole)
        desk.fill_the_queues(self.viewer, self.patients, self.staff["clara"], now=self.as_of)
        self.say("an eCheck-in, a request, somebody in line, an order, a care plan")

    def tidy(self) -> None:
        """Close what the nurses of the past two years would have closed long ago."""
        closed = 0
        for key in ("nora", "olive"):
            nurse = self.staff[key]
            viewer = staff_viewer(user=nurse, now=self.as_of, purpose="demo")
            with identity(viewer.identity):
                old = WorkItem.objects.filter(
                    closed_at__isnull=True, raised_at__lt=self.as_of - _OLD
                )
                for item in old:
                    worklist.close(
                        item_id=item.pk,
                        actor=nurse,
                        closure_code="called-patient",
                        note="",
                        now=item.due_at,
                    )
                    closed += 1
        self.say(f"{closed} past work items closed")


def _sender(person: Person) -> Sender:
    return next(sender for sender in SENDERS if sender.key == person.sender)


def _answer_to(item: QuestionnaireItem, dice: random.Random, worse: int) -> Sent:
    """Return an invented answer: mostly mild, no red flag, it can wait."""
    if item.asks == "red_flag":
        return Sent(link_id=item.link_id)
    if item.asks == "can_wait":
        return Sent(link_id=item.link_id, value=Decimal(1))
    if item.asks == "present":
        return Sent(link_id=item.link_id, value=Decimal(0))
    return Sent(link_id=item.link_id, value=Decimal(dice.randint(0, worse)))
