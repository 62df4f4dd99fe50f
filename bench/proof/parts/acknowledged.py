"""HL7-5: doors killed between receipt and answer lose no message and double none."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from threading import Event

from bench.intake import token_for
from bench.proof.doors import (
    Door,
    HttpsLine,
    Line,
    MllpLine,
    Post,
    Retrying,
    https_door,
    mllp_door,
)
from bench.proof.messages import message_for
from bench.proof.population import Resident, open_laboratory, open_organization, populate
from bench.proof.run import Evidence, Run
from bench.proof.world import owner
from core.clock import utc_now
from core.db import identity, system
from labs.models import Filing, InboundMessage, Observation, UnfiledMessage
from labs.services import intake

LINES_A_MESSAGE = 5
QUIET_SECONDS = 90.0
_KEPT = "SELECT control_id FROM labs_inboundmessage"
_UNFILED = "SELECT 1 FROM labs_unfiledmessage LIMIT 1"


@dataclass
class Kills:
    """How many kills there were, and in how many of them what was under way.

    `with_unanswered`: a message was sent and not answered. `after_commit`: one was kept and its
    sender did not know. `before_filing`: one was kept and not filed.
    """

    kills: int = 0
    with_unanswered: int = 0
    after_commit: int = 0
    before_filing: int = 0
    acknowledged_not_kept: int = 0


def _send_until(
    stopped: Event, name: str, run: Run, residents: list[Resident], sender: Retrying
) -> list[str]:
    """Send one distinct message after the other until `stopped`; return their control ids."""
    chance, sent = run.chance(f"messages {name}"), []
    while not stopped.is_set():
        control_id = f"{name}{len(sent):06d}"
        sent.append(control_id)
        sender.deliver(control_id, message_for(chance.choice(residents), control_id, chance))
    return sent


def _wait_for(holds: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


def _kill(run: Run, door: Door, post: Post, wanted: int, evidence: Evidence, name: str) -> Kills:
    """Kill the door at `wanted` moments drawn from the seed, and start it again each time."""
    chance, done = run.chance(f"kills {name}"), Kills()
    for _ in range(wanted):
        target = len(post.known_so_far()) + chance.randint(2, 30)
        if not _wait_for(partial(post.has_acknowledged, target), QUIET_SECONDS):
            evidence.faults.append(f"nothing was acknowledged for {QUIET_SECONDS:.0f} s")
            break
        time.sleep(chance.uniform(0, 0.05))
        _wait_for(lambda: post.in_flight > 0, 5.0)
        done.with_unanswered += post.in_flight > 0
        door.kill()
        known = set(post.known_so_far())
        with owner() as connection:
            kept = {str(row[0]) for row in connection.execute(_KEPT)}
            done.before_filing += connection.execute(_UNFILED).fetchone() is not None
        done.after_commit += any(control_id[0] == name[0] for control_id in kept - known)
        done.acknowledged_not_kept += len(known - kept)
        done.kills += 1
        door.start()
    return done


def _count(evidence: Evidence, sent: Iterable[str], posts: Iterable[Post]) -> dict[str, int]:
    """Compare what was sent and acknowledged with what is kept and filed."""
    wanted = set(sent)
    acknowledged = {control_id for post in posts for control_id in post.known_so_far()}
    with identity(system("lab-intake")):
        receipts = Counter(InboundMessage.objects.values_list("receipt", flat=True))
        accepted = Counter(
            InboundMessage.objects.filter(receipt="accepted").values_list("control_id", flat=True)
        )
        filings = Counter(Filing.objects.values_list("message__control_id", flat=True))
        lines = Counter(
            Observation.objects.laboratory_made().values_list("message__control_id", "analyte_key")
        )
        unfiled = UnfiledMessage.objects.count()
    whole = Counter(control_id for control_id, _ in lines)
    found = {
        "messages": len(wanted),
        "acknowledged": len(acknowledged),
        "lost": sum(accepted[c] == 0 or whole[c] < LINES_A_MESSAGE for c in acknowledged),
        "kept_twice": sum(times > 1 for times in accepted.values()),
        "filed_twice": sum(times > 1 for times in filings.values()),
        "results": lines.total(),
        "results_twice": sum(times > 1 for times in lines.values()),
        "repeats_by_senders": sum(post.repeats for post in posts),
        "repeats_that_were_known": receipts["duplicate"],
        "left_unfiled": unfiled,
    }
    evidence.expect_equal(acknowledged, wanted, "messages acknowledged in the end")
    for zero in ("lost", "kept_twice", "filed_twice", "results_twice", "left_unfiled"):
        evidence.expect_equal(found[zero], 0, zero.replace("_", " "))
    evidence.expect_equal(found["results"], len(wanted) * LINES_A_MESSAGE, "results")
    evidence.expect_equal(set(receipts) - {"accepted", "duplicate"}, set(), "other receipts")
    evidence.expect_equal([a for post in posts for a in post.other_answers], [], "other answers")
    return found


def prove(run: Run) -> Evidence:
    evidence, started = Evidence(), time.monotonic()
    organization = open_organization()
    token = token_for(open_laboratory(organization))
    people = populate(organization, run.chance("people"), count=run.size(2_000, 200))
    residents = [resident for resident in people if not resident.has_look_alike]
    posts = {"MLLP": Post(), "HTTPS": Post()}
    wanted = {"MLLP": run.size(30, 4), "HTTPS": run.size(10, 1)}
    stopped = Event()
    with (
        mllp_door(run.folder) as mllp,
        https_door(run.folder) as https,
        ThreadPoolExecutor(8) as pool,
    ):

        def open_line(name: str) -> Line:
            return MllpLine(mllp.port) if name == "MLLP" else HttpsLine(https.port, token)

        def sender(name: str) -> Retrying:
            return Retrying(lambda: open_line(name), posts[name], ends_at=run.ends_at)

        jobs: list[Future[list[str]]] = [
            pool.submit(_send_until, stopped, f"{door[0]}{n}-", run, residents, sender(door))
            for door, senders in (("MLLP", 4), ("HTTPS", 2))
            for n in range(senders)
        ]
        try:
            at_https = pool.submit(
                _kill, run, https, posts["HTTPS"], wanted["HTTPS"], evidence, "HTTPS"
            )
            kills = {
                "MLLP": _kill(run, mllp, posts["MLLP"], wanted["MLLP"], evidence, "MLLP"),
                "HTTPS": at_https.result(),
            }
        finally:
            stopped.set()
        sent = [control_id for job in jobs for control_id in job.result()]
    run.say(f"kills done after {time.monotonic() - started:.0f} s")
    left_by_kills = _sweep()
    for door, done in kills.items():
        evidence.expect_equal(done.kills, wanted[door], f"kills of the {door} door")
        evidence.expect_equal(done.acknowledged_not_kept, 0, "messages acknowledged but not kept")
        evidence.expect_equal(done.with_unanswered, done.kills, "kills with a message under way")
    after_commit = sum(done.after_commit for done in kills.values())
    evidence.expect(after_commit > 0, "no kill fell between commit and answer")
    evidence.figures = {
        **{f"kills_{door.lower()}": done.kills for door, done in kills.items()},
        "kills_after_commit_before_answer": after_commit,
        "kills_before_filing": sum(done.before_filing for done in kills.values()),
        "filed_by_the_sweep": left_by_kills,
        **_count(evidence, sent, posts.values()),
    }
    figures = evidence.figures
    evidence.summary = (
        f"{figures['messages']} messages, {kills['MLLP'].kills} kills of the listener and "
        f"{kills['HTTPS'].kills} of the web server, {after_commit} between commit and answer: "
        f"{figures['lost']} lost, {figures['kept_twice'] + figures['results_twice']} double, "
        f"{figures['repeats_by_senders']} repeats"
    )
    return evidence


def _sweep() -> int:
    """File what the kills left behind, as the tick would a few minutes later."""
    later, filed = utc_now() + timedelta(minutes=5), 0
    while found := intake.sweep(now=later):
        filed += found
    return filed
