"""TIME-3: the clock is set by hours while reminders are sent and results wait for their time."""

import os
import time
from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

from oauth2_provider.models import get_access_token_model

from accounts.models import User
from bench.loader.people import AUTHORITY, Clinic, Person, load_people, open_clinic
from bench.proof.messages import message_for
from bench.proof.parts.reminders import ask_everybody, zone_at_noon
from bench.proof.population import Resident, open_laboratory
from bench.proof.receiver import receiving
from bench.proof.run import Evidence, Run
from bench.proof.tree import CHECKOUT
from bench.proof.workers import crew
from bench.proof.world import SETTINGS, count, owner
from bench.server import WebServer
from bench.traffic import Traffic, http_request, send
from core.clock import utc_now
from core.db import identity, system
from labs.models import ReleaseRule
from labs.services.intake import receive
from labs.services.registration import NewPatient
from labs.services.senders import Door, Origin

STEP = timedelta(hours=2)
HELD_FOR_HOURS = 2
PATIENCE_SECONDS = 300.0
LONG_SECONDS = 40.0
_RESULTED = b"20261101102500+0100"
_RESULTS = "/api/v1/patients/me/results"
_SENT = "SELECT count(*) FROM notifications_notification WHERE channel = 'email' AND state = 'sent'"
_TOLD = "SELECT count(*) FROM core_event WHERE type = 'labs.result.filed'"


class Wall:
    """The wall clock of every process that is started with `environment`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "clock"
        self._file.write_text("0")
        self.environment = {
            "LINDEN_PROOF_CLOCK": str(self._file),
            "PYTHONPATH": str(CHECKOUT / "bench/proof/stepping"),
        }

    def set_ahead(self, by: timedelta) -> None:
        made = self._file.with_suffix(".new")
        made.write_text(str(by.total_seconds()))
        made.replace(self._file)


def _hold_results(clinic: Clinic, now: datetime) -> None:
    """Let nobody see a result of the proof's laboratory for two hours."""
    author, approver = User.objects.all()[:2]
    with identity(system("registration")):
        ReleaseRule.objects.create(
            organization=clinic.organization,
            name="proof",
            result_class="labs",
            timing="elapsed_hours",
            amount=HELD_FOR_HOURS,
            reason="An invented law.",
            valid_from=date(2026, 1, 1),
            author=author,
            approved_by=approver,
            approved_at=now - timedelta(days=1),
        )
    open_laboratory(clinic.organization)


def _file_report(person: Person, number: int, run: Run, now: datetime) -> bool:
    """Send one report that says nothing of when it was final; return whether it was filed."""
    known = NewPatient(
        number=f"{number:08}",
        authority=AUTHORITY,
        family_name=f"Person{number:06}",
        given_name="Bench",
        birth_date=date(1968, 3, 9),
        sex="female",
    )
    resident = Resident(person.patient_id, known, has_look_alike=False)
    chance = run.chance(f"result {number}")
    raw = message_for(resident, f"CLK{number:06}", chance, calm=1.0)
    origin = Origin(door=Door.MLLP, peer="127.0.0.1")
    answer = receive(raw.replace(_RESULTED, b""), origin=origin, now=now)
    return answer.disposition == "stored"


def _end_tokens(people: list[Person], now: datetime) -> None:
    table = get_access_token_model()._meta.db_table
    with owner() as connection:
        connection.execute(
            f"UPDATE {table} SET expires = %s WHERE user_id = ANY(%s)".encode(),
            [now - timedelta(minutes=10), [person.user_id for person in people]],
        )


def _read(port: int, people: list[Person]) -> Traffic:
    asked = [http_request("GET", _RESULTS, token=person.token) for person in people]
    return send(port=port, clients=4, requests=asked, keep_bodies=True)


def _step_while_it_runs(
    run: Run, wall: Wall, port: int, live: list[Person], ended: list[Person], evidence: Evidence
) -> Counter[str]:
    """Set the clock ahead and back again and again, and read meanwhile."""
    chance, seen = run.chance("steps"), Counter[str]()
    for number in range(run.size(60, 8)):
        ahead = number == 0 or chance.random() < 0.5
        step = STEP if ahead else -STEP
        wall.set_ahead(step)
        # Long enough once for every kind of background work to ring.
        time.sleep(LONG_SECONDS if number == 0 else chance.uniform(0.1, 4.0))
        good = _read(port, chance.sample(live, 8))
        refused = _read(port, chance.sample(ended, 4))
        words = f"step {number + 1} by {step / timedelta(hours=1):+.0f} h"
        evidence.expect(good.all_have(200), f"{words}: live tokens got {good.statuses}")
        evidence.expect(refused.all_have(401), f"{words}: ended tokens got {refused.statuses}")
        early = sum('"items":[{' in body.replace(" ", "") for body in good.bodies)
        evidence.expect_equal(early, 0, f"{words}: held results shown")
        seen["ahead" if ahead else "back"] += 1
        seen["readings"] += good.answers + refused.answers
        if chance.random() < 0.8:
            wall.set_ahead(timedelta())
            time.sleep(chance.uniform(0.1, 1.0))
    wall.set_ahead(timedelta())
    return seen


def _wait_until_sent(wanted: int) -> bool:
    end = time.monotonic() + PATIENCE_SECONDS
    while count(_SENT) < wanted:
        if time.monotonic() > end:
            return False
        time.sleep(0.5)
    return True


def _logged(folder: Path, name: str) -> int:
    return (folder / f"{name}.log").read_text(errors="replace").count("clock.stepped")


def prove(run: Run) -> Evidence:
    evidence, now = Evidence(), utc_now()
    due, later, held = run.size(1_200, 120), run.size(200, 40), run.size(60, 20)
    clinic = open_clinic(now=now)
    with owner() as connection:
        people = load_people(connection, count=due + later, clinic=clinic, now=now)
    # It is noon for the first ones, and will be noon in one to two hours for the others.
    zone = zone_at_noon(now)
    ask_everybody(people[:due], clinic, zone, now)
    ask_everybody(people[due:], clinic, zone_at_noon(now + STEP), now)
    _hold_results(clinic, now)
    waiting, ended = people[1 : held + 1], people[held + 1 : 2 * held + 1]
    # Number 0 is no number for a laboratory.
    filed = sum(_file_report(person, at, run, now) for at, person in enumerate(waiting, start=1))
    evidence.expect_equal(filed, held, "reports filed")
    _end_tokens(ended, now)
    told = count(_TOLD)
    wall = Wall(run.folder)
    with receiving(run.chance("receiver")) as receiver:
        environment = {
            "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(receiver.port), **wall.environment
        }  # fmt: skip
        with (
            _web(run.folder, wall.environment) as web,
            crew(run.folder, {**os.environ, **environment}) as workers,
        ):
            evidence.expect(workers.wait_for_workers(2, 60.0), "the worker did not start")
            evidence.expect(receiver.wait_for(5, PATIENCE_SECONDS), "nothing was sent")
            run.say(f"{due} reminders are being sent; the clock is set by two hours")
            seen = _step_while_it_runs(run, wall, web.port, waiting, ended, evidence)
            during = len(receiver.deliveries())
            evidence.expect(_wait_until_sent(due), "not every reminder was sent")
        arrived = receiver.deliveries()
    steps = {name: _logged(run.folder, name) for name in ("worker", "web")}
    for name, times in steps.items():
        evidence.expect(times > 0, f"no process of {name} saw its clock set")
    keys = Counter(delivery.key for delivery in arrived)
    reached = {delivery.recipient for delivery in arrived}
    mistaken = {f"bench{number:06}@example.org" for number in range(due, due + later)} & reached
    evidence.expect_equal(len(arrived), due, "messages that arrived")
    evidence.expect_equal(sum(times - 1 for times in keys.values()), 0, "sent twice")
    evidence.expect_equal(len(mistaken), 0, "sent before their time")
    evidence.expect_equal(count(_TOLD) - told, 0, "held results told of")
    evidence.figures = {
        "reminders": due, "not_yet_due": later, "held_reports": held,
        "steps_ahead": seen["ahead"], "steps_back": seen["back"], "readings": seen["readings"],
        "sent_during_the_steps": during, "steps_seen_by_worker": steps["worker"],
        "steps_seen_by_web": steps["web"], "zone": zone,
    }  # fmt: skip
    evidence.summary = (
        f"{seen['ahead'] + seen['back']} steps of two hours while {due} reminders were sent: "
        f"{len(arrived)} arrived, {len(arrived) - len(keys)} twice, {len(mistaken)} early; "
        f"{seen['readings']} readings with live and with ended tokens meanwhile"
    )
    return evidence


def _web(folder: Path, environment: Mapping[str, str]) -> WebServer:
    return WebServer(
        "portal.wsgi:application",
        ready_path="/healthz",
        log=folder / "web.log",
        environment={**SETTINGS, **environment},
    )
