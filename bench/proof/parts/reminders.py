"""JOB-1: reminders while workers are killed: none lost, none double, every doubt on record."""

import os
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from bench.loader.people import Clinic, Person, load_people, open_clinic
from bench.proof.receiver import Delivery, Receiver, receiving
from bench.proof.run import Evidence, Run
from bench.proof.workers import Crew, crew
from bench.proof.world import count, owner
from core.clock import utc_now
from core.db import identity, system
from notifications.channels import message_id
from notifications.models import Notification
from symptoms.services import create_plan, load_questionnaire
from symptoms.services.questionnaires import SHIPPED

KILLS, KILLS_OF_ALL = 10, 2
PROCESSES = 2
QUIET_SECONDS = 240.0
SETTLE_SECONDS = 420.0
NOON = 12
_DUE = """
SELECT count(*) FROM notifications_notification
WHERE channel = 'email' AND send_after <= now() AND state = ANY(%s)
"""


def zone_at_noon(now: datetime) -> str:
    """Return an IANA zone where it is between noon and one o'clock: nobody's quiet hours."""
    ahead = NOON - now.astimezone(UTC).hour
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


def ask_everybody(people: list[Person], clinic: Clinic, zone: str, now: datetime) -> None:
    """Give everybody a weekly check-in that opens at noon of today, where she is."""
    load_questionnaire(SHIPPED[0], now=now)
    today = now.astimezone(ZoneInfo(zone)).date()
    with owner() as connection:
        connection.execute(
            "UPDATE accounts_user SET zone = %s WHERE id = ANY(%s)",
            [zone, [person.user_id for person in people]],
        )
        connection.execute("ANALYZE")
    with identity(system("check-ins")):
        for person in people:
            create_plan(
                patient_id=person.patient_id,
                questionnaire_key="weekly-general",
                organization_id=clinic.organization.id,
                iso_weekday=today.isoweekday(),
                hour=NOON,
                zone=zone,
                starts_on=today,
                now=now - timedelta(hours=1),
            )


@dataclass
class Kills:
    """What was killed, and how often rows were in a worker's hands at that moment."""

    kills: int = 0
    processes: int = 0
    with_rows_claimed: int = 0


def _kill_while_sending(
    run: Run, workers: Crew, receiver: Receiver, wanted: int, evidence: Evidence
) -> Kills:
    chance, done = run.chance("kills"), Kills()
    last = set(chance.sample(range(wanted), min(KILLS_OF_ALL, wanted)))
    between = (10, 40) if run.quick else (20, 90)
    for number in range(wanted):
        target = len(receiver.deliveries()) + chance.randint(*between)
        if not receiver.wait_for(target, QUIET_SECONDS):
            evidence.faults.append(f"nothing was sent for {QUIET_SECONDS:.0f} s before a kill")
            break
        time.sleep(chance.uniform(0, 0.02))
        claimed = count(_DUE, ["claimed"])
        if number in last:
            done.processes += workers.kill_all()
        else:
            done.processes += workers.kill_one(chance, talking_to=receiver.port)
        done.kills += 1
        done.with_rows_claimed += claimed > 0
        if not workers.wait_for_workers(PROCESSES, 60.0):
            evidence.faults.append("the worker did not come back within a minute")
            break
    return done


def _wait_until_settled(wanted: int, evidence: Evidence) -> float:
    started = time.monotonic()
    while time.monotonic() - started < SETTLE_SECONDS:
        if count(_DUE, ["planned", "claimed"]) == 0:
            return time.monotonic() - started
        time.sleep(1.0)
    left = count(_DUE, ["planned", "claimed"])
    evidence.faults.append(f"{left} of {wanted} reminders left after {SETTLE_SECONDS:.0f} s")
    return SETTLE_SECONDS


def _judge(
    evidence: Evidence, deliveries: list[Delivery], wanted: int, kills: Kills
) -> dict[str, int]:
    """Compare the ledger with what really arrived."""
    with identity(system("notifications")):
        rows = {
            message_id(row_id): state
            for row_id, state in Notification.objects.filter(
                channel="email", send_after__lte=utc_now()
            ).values_list("id", "state")
        }
    arrived = Counter(delivery.key for delivery in deliveries)
    keys_of: dict[str, set[str]] = {}
    for delivery in deliveries:
        keys_of.setdefault(delivery.recipient, set()).add(delivery.key)
    states = Counter(rows.values())
    doubles = {key: times for key, times in arrived.items() if times > 1}
    found = {
        "reminders": len(rows),
        "sent": states["sent"],
        "unknown": states["unknown"],
        "unknown_and_arrived": sum(
            state == "unknown" and key in arrived for key, state in rows.items()
        ),
        "lost": sum(state != "unknown" and key not in arrived for key, state in rows.items()),
        "doubles_by_key": sum(len(keys) > 1 for keys in keys_of.values()),
        "raw_deliveries": len(deliveries),
        "raw_doubles": sum(times - 1 for times in doubles.values()),
        "raw_doubles_unexplained": sum(rows.get(key) != "unknown" for key in doubles),
        "strange_deliveries": sum(key not in rows for key in arrived),
    }
    evidence.expect_equal(found["reminders"], wanted, "due reminders in the ledger")
    evidence.expect_equal(
        found["sent"] + found["unknown"], wanted, "reminders that are sent or unknown"
    )
    for zero in ("lost", "doubles_by_key", "raw_doubles_unexplained", "strange_deliveries"):
        evidence.expect_equal(found[zero], 0, zero.replace("_", " "))
    evidence.expect(
        found["unknown"] <= kills.processes,
        f"{found['unknown']} unknown rows for {kills.processes} killed processes",
    )
    evidence.expect(
        found["raw_doubles"] <= kills.kills,
        f"{found['raw_doubles']} raw doubles for {kills.kills} kills",
    )
    return found


def prove(run: Run) -> Evidence:
    evidence = Evidence()
    wanted, kills_wanted = run.size(2_000, 200), run.size(KILLS, 3)
    now = utc_now()
    zone = zone_at_noon(now)
    clinic = open_clinic(now=now)
    with owner() as connection:
        people = load_people(connection, count=wanted, clinic=clinic, now=now)
    ask_everybody(people, clinic, zone, now)
    run.say(f"{wanted} check-ins are due; {kills_wanted} kills")
    with receiving(run.chance("receiver")) as receiver:
        environment = {
            **os.environ, "EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(receiver.port)
        }  # fmt: skip
        started = time.monotonic()
        with crew(run.folder, environment) as workers:
            kills = _kill_while_sending(run, workers, receiver, kills_wanted, evidence)
            run.say(f"{kills.kills} kills done after {time.monotonic() - started:.0f} s")
            recovery = _wait_until_settled(wanted, evidence)
        deliveries = receiver.deliveries()
    evidence.expect_equal(kills.kills, kills_wanted, "kills")
    evidence.expect(
        kills.with_rows_claimed * 2 > kills.kills, "most kills fell when no row was claimed"
    )
    evidence.figures = {
        "kills": kills.kills,
        "processes_killed": kills.processes,
        "kills_with_rows_claimed": kills.with_rows_claimed,
        "restarts_of_the_whole_worker": workers.restarts,
        "settled_after_last_kill_s": round(recovery, 1),
        **_judge(evidence, deliveries, wanted, kills),
    }
    figures = evidence.figures
    evidence.summary = (
        f"{figures['reminders']} reminders, {kills.kills} kills: {figures['lost']} lost, "
        f"{figures['doubles_by_key']} double by key, {figures['raw_doubles']} raw doubles, "
        f"{figures['unknown']} unknown rows ({figures['unknown_and_arrived']} of them arrived)"
    )
    return evidence
