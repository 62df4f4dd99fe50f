"""The main story, step by step. Every step prints what it saw; the first wrong thing ends it."""

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from portal.demo.accounts import (
    DEMO_PASSWORD,
    DESK_CLIENT,
    PHONE_CLIENT,
    staff_email,
)
from portal.demo.messages import Draw, oru
from portal.demo.people import SENDERS, Person
from portal.journeys.outside import (
    Laboratory,
    Mailbox,
    System,
    acknowledgement,
    expect,
    until,
)
from portal.journeys.phone import Browser, Phone

PHONE_SCOPES = (
    "labs.read appointments.read appointments.write symptoms.read symptoms.write education.read"
)
_MAIN_LABORATORY = next(sender for sender in SENDERS if sender.key == "mainlab")
# Zones around the world: in one of them it is always the middle of the day.
_ZONES = (
    "Europe/Berlin", "America/New_York", "America/Los_Angeles", "Pacific/Auckland",
    "Asia/Tokyo", "Asia/Kolkata", "Pacific/Honolulu",
)  # fmt: skip
_TELLING = ("cancer", "oncolog", "breast", "liver", "calcium", "result", "lab", "symptom", "clinic")


def daytime_zone(now: datetime) -> str:
    """Return a zone in which it is between 10:00 and 18:00 now, so that nobody is woken."""
    return next(
        (zone for zone in _ZONES if 10 <= now.astimezone(ZoneInfo(zone)).hour < 18),
        "Europe/Berlin",
    )


@dataclass
class Story:
    """One run: a new invented patient, so that it can be repeated on one system."""

    system: System
    say: Callable[[str], None]
    number: int = 0
    key: str = field(default_factory=lambda: secrets.token_hex(4))

    def __post_init__(self) -> None:
        self.now = datetime.now(UTC)
        self.zone = daytime_zone(self.now)
        self.email = f"journey-{self.key}@patients.example"
        self.password = secrets.token_urlsafe(18)
        self.person = Person(
            key=f"journey-{self.key}",
            given="Juna",
            # Invented letters, so that nobody looks alike with the person of an earlier run.
            family="Reisig" + "".join(chr(ord("a") + int(c, 16)) for c in self.key),
            born=date(1975, 4, 12),
            sex="female",
            clinic="lindenhof",
            sender="mainlab",
            record_number=f"J{self.key}",
            story="journey",
            facts=(),
        )

    def step(self, title: str, seen: str) -> None:
        self.number += 1
        self.say(f"{self.number:>2}. {title:<44} {seen}")

    def run(self) -> None:
        """Walk through the story. Raises: WrongAnswer."""
        self.front_desk_registers_her()
        self.she_sets_her_password()
        self.her_phone_signs_in()
        self.garbage_is_answered()
        self.the_laboratory_reports()
        self.she_is_told_that_something_is_new()
        results = self.she_sees_her_results()
        self.she_reads_the_article(results["alt"])
        self.she_looks_at_the_trend()
        visit = self.she_books_a_visit()
        self.she_is_reminded_and_answers()
        self.she_cancels(visit)

    # --- she becomes a patient ---

    def front_desk_registers_her(self) -> None:
        desk = Phone(self.system, client_id=DESK_CLIENT)
        desk.sign_in(email=staff_email("frieda"), password=DEMO_PASSWORD, scopes="staff")
        made = desk.post(
            "staff/patients",
            {
                "given_name": self.person.given,
                "family_name": self.person.family,
                "birth_date": self.person.born.isoformat(),
                "sex": self.person.sex,
                "zone": self.zone,
                "email": self.email,
                "identifiers": [
                    {"authority": _MAIN_LABORATORY.authority, "value": self.person.record_number}
                ],
            },
        )
        self.patient_id = made["id"]
        self.step("the front desk registers a patient", f"201, zone {self.zone}")

    def she_sets_her_password(self) -> None:
        mailbox = Mailbox(self.system, self.email)
        browser = Browser(self.system)
        page = browser.open("/accounts/password/reset/")
        browser.submit(page, {"email": self.email})
        mail = mailbox.wait_for(after=0, seconds=20, complaint="no mail to set the password")
        link = next(
            word for word in mail["text"].split() if "/accounts/password/reset/key/" in word
        )
        page = browser.open(link)
        page = browser.submit(page, {"password1": self.password, "password2": self.password})
        expect(page.status_code == 200, f"setting the password answered {page.status_code}")
        self.mails_before = len(mailbox.messages())
        self.step("she sets her password from the mail", "done")

    def her_phone_signs_in(self) -> None:
        self.phone = Phone(self.system, client_id=PHONE_CLIENT)
        self.phone.sign_in(email=self.email, password=self.password, scopes=PHONE_SCOPES)
        me = self.phone.get("patients/me")
        expect(me["id"] == self.patient_id, "she is somebody else")
        self.step("her phone signs in (OAuth 2, PKCE)", "her own record")

    # --- the laboratory speaks ---

    def garbage_is_answered(self) -> None:
        laboratory = Laboratory(self.system)
        laboratory.send_bytes(b"GET / HTTP/1.1\r\n\r\n")
        code, _ = acknowledgement(laboratory.send(b"this is not HL7"))
        expect(code == "AE", f"garbage was answered {code}")
        laboratory.close()
        self.step("garbage on the laboratory's line", "AE, kept, line still open")

    def the_laboratory_reports(self) -> None:
        draw = Draw(
            number=1,
            collected_at=self.now - timedelta(hours=3),
            values={
                "alt": Decimal("148"),
                "ast": Decimal("97"),
                "alp": Decimal("96"),
                "ggt": Decimal("39"),
                "bilirubin_total": Decimal("0.8"),
                "albumin": Decimal("2.9"),
                "calcium_total": Decimal("10.1"),
                "creatinine": Decimal("0.80"),
            },
        )
        control_id = f"JOURNEY-{self.key}"
        message = oru(self.person, _MAIN_LABORATORY, draw, control_id=control_id)
        laboratory = Laboratory(self.system)
        code, answered_id = acknowledgement(laboratory.send(message))
        expect((code, answered_id) == ("AA", control_id), f"the message was answered {code}")
        again, _ = acknowledgement(laboratory.send(message))
        expect(again == "AA", f"the repeated message was answered {again}")
        laboratory.close()
        self.step("the laboratory sends HL7 v2 over MLLP, twice", "AA, AA")

    def she_is_told_that_something_is_new(self) -> None:
        mail = self.discreet_mail("Something new in Linden", seconds=60)
        self.step("she is told, discreetly", f"“{mail['subject']}”")

    def discreet_mail(self, subject: str, *, seconds: float) -> dict[str, Any]:
        """Return her first mail of this subject. Raises: WrongAnswer when any of hers tells."""
        mailbox = Mailbox(self.system, self.email)
        mail = mailbox.wait_for(
            after=self.mails_before,
            subject=subject,
            seconds=seconds,
            complaint=f"no mail came with the subject “{subject}”",
        )
        for head in mailbox.messages()[self.mails_before :]:
            each = mailbox.read(head["n"])
            words = f"{each['subject']} {each['text']} {each['from']}".lower()
            told = [word for word in _TELLING if word in words]
            expect(not told, f"a mail tells: {', '.join(told)}")
        return mail

    def she_sees_her_results(self) -> dict[str, dict[str, Any]]:
        def report() -> dict[str, Any] | None:
            items = self.phone.get("patients/me/reports")["items"]
            return items[0] if items else None

        head = until(report, seconds=15, complaint="no report appeared on her phone")
        detail = self.phone.get(f"patients/me/reports/{head['id']}")
        found = {result["analyte"]: result for result in detail["results"]}
        expect(len(detail["results"]) == len(found), "a result stands twice")
        for analyte, state in {
            "alt": "HIGH", "ast": "HIGH", "alp": "IN_RANGE", "ggt": "IN_RANGE",
            "bilirubin_total": "IN_RANGE", "albumin": "LOW", "calcium_total": "IN_RANGE",
        }.items():  # fmt: skip
            expect(
                found[analyte]["state"] == state,
                f"{analyte} is {found[analyte]['state']}, not {state}",
            )
        self.step("she sees ALT", f"{_shown(found['alt'])}: {found['alt']['reason']}")
        derived = found["calcium_corrected"]
        expect(derived["worked_out"] is not None, "corrected calcium is not marked as worked out")
        expect(
            Decimal(derived["value"]["number"]) == Decimal("10.98"),
            f"corrected calcium is {derived['value']['number']}",
        )
        self.step(
            "calcium, corrected for albumin",
            f"{_shown(derived)}: {derived['worked_out']['label']}",
        )
        return found

    def she_reads_the_article(self, alt: dict[str, Any]) -> None:
        expect(bool(alt["links"]), "ALT opens no article")
        link = alt["links"][0]
        path, _, anchor = link["href"].partition("#")
        article = self.phone.get(path.removeprefix("/api/v1/"))
        anchors = {section["anchor"] for section in article["sections"]}
        expect(not anchor or anchor in anchors, f"the article has no section {anchor}")
        self.step("she opens the article that explains it", f"“{article['title']}” at #{anchor}")

    def she_looks_at_the_trend(self) -> None:
        trend = self.phone.get("patients/me/analytes/alt/trend")
        points = [point for line in trend["lines"] for point in line["points"]]
        picture = self.phone.raw("patients/me/analytes/alt/trend.svg")
        expect(picture.status_code == 200, f"the picture answered {picture.status_code}")
        expect("<desc" in picture.text, "the picture has no text alternative")
        self.step("the trend, as numbers and as a picture", f"{len(points)} point, SVG")

    # --- she books ---

    def she_books_a_visit(self) -> str:
        kinds = self.phone.get("patients/me/visit-types")["items"]
        kind = next(entry for entry in kinds if entry["booking_policy"] == "direct")
        found = self.phone.get("patients/me/openings", visit_type=kind["id"], limit="5")
        expect(bool(found["items"]), "no opening to book")
        opening = found["items"][0]
        key = str(uuid.uuid4())
        body = {"opening": opening["id"]}
        visit = self.phone.post("patients/me/appointments", body, key=key)
        again = self.phone.post("patients/me/appointments", body, key=key)
        expect(visit["id"] == again["id"], "the repeated booking made another visit")
        expect(visit["start"]["instant"] == opening["start"]["instant"], "another time was booked")
        self.step("she books the next opening, twice by mistake", visit["start"]["text"])
        mail = self.discreet_mail("A date in Linden", seconds=60)
        self.step("a discreet mail confirms it", f"“{mail['subject']}”")
        return str(visit["id"])

    def she_cancels(self, visit_id: str) -> None:
        visit = self.phone.post(
            f"patients/me/appointments/{visit_id}/$cancel", {"reason": "pat"}, status=200
        )
        expect(visit["status"] == "cancelled", f"the visit is {visit['status']}")
        self.step("she cancels; the time is free again", visit["status"])

    # --- she is asked how she feels ---

    def she_is_reminded_and_answers(self) -> None:
        local = self.now.astimezone(ZoneInfo(self.zone))
        self.phone.post(
            "patients/me/check-in-plans",
            {"iso_weekday": local.isoweekday(), "hour": local.hour, "zone": self.zone},
        )
        mail = self.discreet_mail("A short note from Linden", seconds=90)
        self.step("Celery sends a discreet reminder", f"“{mail['subject']}”")
        (check_in,) = self.phone.get("patients/me/check-ins")["items"]
        questions = self.phone.get(f"patients/me/check-ins/{check_in['id']}")
        heard = self.phone.post(
            f"patients/me/check-ins/{check_in['id']}/responses",
            {
                "client_id": str(uuid.uuid4()),
                "questionnaire_version": questions["questionnaire_version"],
                "answers": [answer for item in questions["questions"] if (answer := _answer(item))],
            },
        )
        expect(bool(heard["alerts"]), "bad pain raised no alert")
        promise = heard["review"]["text"].lower()
        expect("24" in promise or "before" in promise or "by" in promise, "no word on who reads it")
        self.step("she answers that the pain is bad", heard["review"]["text"])


def _shown(result: dict[str, Any]) -> str:
    value = result["value"]
    return f"{value['text']} {value['unit']}, {result['label']}"


def _answer(item: dict[str, Any]) -> dict[str, Any] | None:
    """Return her answer to one question: the pain is bad, the rest is well, it can wait."""
    link_id = item["link_id"]
    if item["asks"] == "red_flag":
        return {"link_id": link_id, "codes": []}
    if item["asks"] == "can_wait":
        return {"link_id": link_id, "value": 1}
    if link_id.startswith("pain_general."):
        return {"link_id": link_id, "value": 3}
    if item["required"] and not item["enabled_by"]:
        return {"link_id": link_id, "value": 0}
    return None
