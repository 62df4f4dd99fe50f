"""HL7-6: one message that cannot be filed stops nobody and is in a person's hands in time."""

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta

from bench.proof.messages import message_for
from bench.proof.mllp import Sender, ack_code, framed, listener
from bench.proof.population import open_laboratory, open_organization, populate
from bench.proof.run import Evidence, Run
from bench.proof.world import owner
from core.clock import utc_now
from core.db import identity, system
from labs.models import IntakeItem, Observation, UnfiledMessage
from labs.services import intake
from worklist.models import WorkItem

SENDERS = 4
FILED_WITHIN_SECONDS = 60.0
ALARM_WITHIN = timedelta(minutes=5)
_VALUE = "666.6"
_ALT = re.compile(rb"(\^ALT\^LN\|\|)[^|]*")


@contextmanager
def _refused_value() -> Iterator[None]:
    """Let the database refuse one value, as a fault of ours would."""
    with owner() as connection:
        connection.execute(
            "ALTER TABLE labs_observation ADD CONSTRAINT planted CHECK (value_text <> '666.6')"
        )
    yield
    with owner() as connection:
        connection.execute("ALTER TABLE labs_observation DROP CONSTRAINT planted")


def _send(port: int, messages: Sequence[bytes]) -> Counter[str]:
    codes: Counter[str] = Counter()
    with Sender(port) as sender:
        for message in messages:
            sender.send(framed(message))
            codes.update(ack_code(answer) for answer in sender.answers(1))
    return codes


def _filed() -> set[str]:
    with identity(system("lab-intake")):
        return set(Observation.objects.values_list("message__control_id", flat=True).distinct())


def _tick(started_at: datetime) -> None:
    """Let the sweep run each half minute of the five that follow; only the clock is moved."""
    for half_minutes in range(1, 11):
        intake.sweep(now=started_at + timedelta(seconds=30 * half_minutes))


def prove(run: Run) -> Evidence:
    evidence, chance = Evidence(), run.chance("messages")
    wanted = run.size(1_000, 50)
    organization = open_organization()
    open_laboratory(organization)
    people = populate(organization, run.chance("people"), count=run.size(2_000, 200))
    residents = [resident for resident in people if not resident.has_look_alike]
    ids = [f"P{number:06d}" for number in range(wanted)]
    messages = [message_for(chance.choice(residents), name, chance) for name in ids]
    at = chance.randrange(wanted // 4, wanted // 2)
    messages[at] = _ALT.sub(rb"\g<1>" + _VALUE.encode(), messages[at])
    with _refused_value(), listener(run.folder) as process, ThreadPoolExecutor(SENDERS) as pool:
        started, started_at = time.perf_counter(), utc_now()
        codes: Counter[str] = Counter()
        for found in pool.map(
            _send, [process.port] * SENDERS, [messages[n::SENDERS] for n in range(SENDERS)]
        ):
            codes += found
        filed = _filed()
        seconds = time.perf_counter() - started
        _tick(started_at)
    with identity(system("lab-intake")):
        left = list(UnfiledMessage.objects.select_related("message"))
        items = list(IntakeItem.objects.values_list("reason", flat=True))
    with identity(system("worklist")):
        alarms = list(WorkItem.objects.filter(concern="intake.failed"))
    evidence.expect_equal(dict(codes), {"AA": wanted}, "answers")
    evidence.expect_equal(filed, {*ids} - {ids[at]}, "messages filed")
    evidence.expect(seconds <= FILED_WITHIN_SECONDS, f"filing took {seconds:.0f} s")
    evidence.expect_equal([row.message.control_id for row in left], [ids[at]], "messages left")
    tries = max((row.tries for row in left), default=0)
    evidence.expect(0 < tries <= intake.MAX_TRIES, f"{tries} tries")
    evidence.expect_equal(items.count("filing-failed"), 1, "rows in the staff queue")
    evidence.expect_equal(len(alarms), 1, "alarms")
    late = [alarm for alarm in alarms if alarm.raised_at - started_at > ALARM_WITHIN]
    evidence.expect_equal(len(late), 0, "alarms later than five minutes")
    evidence.figures = {
        "messages": wanted,
        "filed": len(filed),
        "seconds": round(seconds, 1),
        "tries_of_the_poison": tries,
        "alarm_after_s": max(
            (round((alarm.raised_at - started_at).total_seconds()) for alarm in alarms), default=-1
        ),
    }
    evidence.summary = (
        f"{len(filed)} of {wanted} messages filed within {seconds:.0f} s; the poison waits for a "
        f"person after {tries} tries, told after {evidence.figures['alarm_after_s']} s"
    )
    return evidence
