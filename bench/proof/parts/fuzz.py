"""HL7-1 and HL7-2: damaged messages and framing attacks never crash, vanish or reach a stranger."""

import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from uuid import UUID

from bench.proof.messages import message_for
from bench.proof.mllp import Sender, ack_code, framed, listener
from bench.proof.mutators import MUTATORS, framing_bytes_removed
from bench.proof.population import Resident, open_laboratory, open_organization, populate
from bench.proof.run import Evidence, Run
from bench.proof.world import owner
from core.db import identity, system
from labs.models import Filing, InboundMessage, Observation, UnfiledMessage
from labs.services.intake import messages_in

SENDERS = 4
HANG_SECONDS = 2.0
_TOO_LARGE = 11 * 1024 * 1024


@dataclass
class Tally:
    """What one sender saw. `owners` says whose message each SHA-256 was."""

    answers: Counter[str] = field(default_factory=Counter)
    frames: int = 0
    unanswered: int = 0
    slowest_s: float = 0.0
    owners: dict[str, set[UUID]] = field(default_factory=dict)
    wrong_answers: list[str] = field(default_factory=list)

    def own(self, payload: bytes, resident: Resident) -> list[bytes]:
        pieces = messages_in(payload)
        for piece in pieces:
            digest = hashlib.sha256(piece).hexdigest()
            self.owners.setdefault(digest, set()).add(resident.patient_id)
        return pieces


def _mutated(message: bytes, chance: random.Random) -> bytes:
    """Return `message` after one to three mutations; one too damaged to go on with stays so."""
    for _ in range(chance.randint(1, 3)):
        mutate = chance.choice(list(MUTATORS.values()))
        try:
            message = mutate(message, chance)
        except (IndexError, ValueError):  # too little is left for this mutation
            break
        if not message:
            break
    return framing_bytes_removed(message)


def _send_mutants(
    port: int, residents: Sequence[Resident], chance: random.Random, count: int, name: str
) -> Tally:
    tally = Tally()
    with Sender(port) as sender:
        for number in range(count):
            resident = chance.choice(residents)
            whole = message_for(resident, f"{name}{number:06d}", chance)
            payload = framing_bytes_removed(whole) if number % 20 == 0 else _mutated(whole, chance)
            expected = len(tally.own(payload, resident))
            started = time.perf_counter()
            sender.send(framed(payload))
            answers = sender.answers(expected)
            tally.slowest_s = max(tally.slowest_s, time.perf_counter() - started)
            tally.frames += 1
            tally.unanswered += expected - len(answers)
            codes = [ack_code(answer) for answer in answers]
            if "" in codes:
                print(f"{name}{number:06d} was answered with {answers}", flush=True)
            tally.answers.update(codes)
    return tally


Attack = Callable[[bytes, bytes], tuple[list[bytes], list[str]]]


def _attacks() -> dict[str, Attack]:
    """Return each attack: pieces to send one by one, and the answers that must come."""
    return {
        "noise before a frame": lambda m, n: ([b"GET / HTTP/1.1\r\n", framed(m)], ["AE", "AA"]),
        "noise only": lambda m, n: ([m], ["AE"]),
        "frame without an end": lambda m, n: ([b"\x0b" + m], ["AE"]),
        "end without a last CR": lambda m, n: ([b"\x0b" + m + b"\x1c"], ["AA"]),
        "LF instead of the last CR": lambda m, n: ([b"\x0b" + m + b"\x1c\n"], ["AA"]),
        "byte by byte": lambda m, n: ([bytes([byte]) for byte in framed(m)], ["AA"]),
        "two frames at once": lambda m, n: ([framed(m) + framed(n)], ["AA", "AA"]),
        "given up and sent again": lambda m, n: (
            [b"\x0b" + m[: len(m) // 2] + b"\x0b" + n + b"\x1c\r"],
            ["AE", "AA"],
        ),
        "end mark inside the text": lambda m, n: ([framed(m.replace(b"PL", b"\x1cL", 1))], ["AA"]),
        "empty frame, then a message": lambda m, n: ([framed(b""), framed(m)], ["AE", "AA"]),
        "nothing at all": lambda m, n: ([], []),
    }


def _attack(
    port: int, residents: Sequence[Resident], chance: random.Random, count: int, name: str
) -> Tally:
    tally = Tally()
    attacks = _attacks()
    for number in range(count):
        title = list(attacks)[number % len(attacks)]
        a, b = chance.sample(residents, 2)
        first = message_for(a, f"{name}A{number:05d}", chance)
        second = message_for(b, f"{name}B{number:05d}", chance)
        pieces, wanted = attacks[title](first, second)
        _own_all(tally, (first, a), (second, b))
        _exchange(port, pieces, wanted, title, tally)
    return tally


def _own_all(tally: Tally, *sent: tuple[bytes, Resident]) -> None:
    for message, resident in sent:
        tally.own(message, resident)
        tally.own(message.replace(b"PL", b"\x1cL", 1), resident)


def _exchange(
    port: int, pieces: Sequence[bytes], wanted: list[str], title: str, tally: Tally
) -> None:
    with Sender(port) as sender:
        for piece in pieces:
            sender.send(piece)
        sender.finish()
        started = time.perf_counter()
        got = [ack_code(answer) for answer in sender.rest()]
    tally.slowest_s = max(tally.slowest_s, time.perf_counter() - started)
    tally.frames += len(wanted)
    tally.answers.update(got)
    tally.unanswered += max(0, len(wanted) - len(got))
    if got != wanted:
        tally.wrong_answers.append(f"{title}: answered {got} instead of {wanted}")


def _too_large(port: int, residents: Sequence[Resident], chance: random.Random) -> Tally:
    """Send 11 MB in one frame, then a message on the same connection."""
    tally = Tally()
    message = message_for(residents[0], "BIG000001", chance)
    tally.own(message, residents[0])
    big = framed(message + b"NTE|1||" + b"x" * _TOO_LARGE + b"\r")
    _exchange(port, [big, framed(message)], ["AE", "AA"], "11 MB in one frame", tally)
    return tally


def _balance(evidence: Evidence, answers: Counter[str]) -> dict[str, int]:
    """Compare what was answered with what is kept, filed, refused or set aside."""
    with identity(system("lab-intake")):
        receipts = Counter(InboundMessage.objects.values_list("receipt", flat=True))
        empty = InboundMessage.objects.filter(size__gt=0, raw=b"").count()
        outcomes = Counter(Filing.objects.values_list("outcome", flat=True))
        unfiled = UnfiledMessage.objects.count()
    kept = sum(receipts.values())
    settled = outcomes.total() + kept - receipts["accepted"]
    evidence.expect_equal(kept, answers.total(), "messages kept, for as many answers")
    evidence.expect_equal(
        settled, answers.total(), "messages filed, queued, repeated, set aside, tests or refused"
    )
    evidence.expect_equal(
        receipts["refused"], answers["AE"] + answers["AR"], "messages refused, for as many AE, AR"
    )
    evidence.expect_equal(sum(outcomes.values()), receipts["accepted"], "passes over accepted ones")
    evidence.expect_equal(unfiled, 0, "accepted messages left unfiled")
    evidence.expect_equal(empty, 0, "messages kept without their bytes")
    return {
        "kept": kept,
        **{f"receipt_{name}".replace("-", "_"): n for name, n in sorted(receipts.items())},
        **{f"filed_{name}": n for name, n in sorted(outcomes.items())},
    }


def _results(
    evidence: Evidence, owners: dict[str, set[UUID]], residents: Sequence[Resident]
) -> dict[str, int]:
    locked = {resident.patient_id for resident in residents if resident.has_look_alike}
    with identity(system("lab-intake")):
        rows = list(Observation.objects.values_list("message__sha256", "patient_id"))
    wrong = sum(patient not in owners.get(digest, set()) for digest, patient in rows)
    alike = sum(patient in locked for _, patient in rows)
    evidence.expect_equal(wrong, 0, "results on a wrong patient")
    evidence.expect_equal(alike, 0, "results on a patient who has a look-alike")
    evidence.expect(bool(rows), "no result was filed at all")
    return {"results": len(rows), "on_wrong_patient": wrong, "on_look_alikes": alike}


def prove(run: Run) -> Evidence:
    evidence = Evidence()
    mutants, attacks = run.size(10_000, 200), run.size(2_002, 22)
    organization = open_organization()
    open_laboratory(organization)
    residents = populate(organization, run.chance("people"), count=run.size(20_000, 300))
    with owner() as connection:
        connection.execute("ANALYZE")
    with listener(run.folder) as process, ThreadPoolExecutor(SENDERS) as pool:
        run.say(f"{mutants} damaged messages over {SENDERS} connections")
        jobs = [
            pool.submit(
                _send_mutants,
                process.port,
                residents,
                run.chance(f"sender {n}"),
                mutants // SENDERS,
                f"M{n}",
            )
            for n in range(SENDERS)
        ]
        tallies = [job.result() for job in jobs]
        run.say(f"{attacks} framing attacks")
        tallies.append(_attack(process.port, residents, run.chance("attacks"), attacks, "F"))
        tallies.append(_too_large(process.port, residents, run.chance("large")))
        events = process.events()
        evidence.expect(not process.has_traceback(), "the listener's log holds a traceback")
    answers: Counter[str] = sum((tally.answers for tally in tallies), Counter())
    owners: dict[str, set[UUID]] = {}
    for tally in tallies:
        evidence.faults += tally.wrong_answers
        for digest, patients in tally.owners.items():
            owners.setdefault(digest, set()).update(patients)
    failed = events["intake.filing_failed"] + events["intake.not_kept"]
    unanswered = sum(tally.unanswered for tally in tallies)
    slowest = max(tally.slowest_s for tally in tallies)
    evidence.expect_equal(failed, 0, "messages whose filing or keeping failed")
    evidence.expect_equal(unanswered, 0, "messages without an answer")
    evidence.expect_equal(answers[""], 0, "answers that are neither AA, AE nor AR")
    evidence.expect(slowest < HANG_SECONDS, f"an answer took {slowest:.1f} s")
    evidence.figures = {
        "damaged_messages": mutants,
        "framing_attacks": attacks,
        "patients": len(residents),
        "look_alikes": sum(resident.has_look_alike for resident in residents),
        "answers": dict(sorted(answers.items())),
        "unanswered": unanswered,
        "slowest_answer_s": round(slowest, 2),
        "failed": failed,
        **_balance(evidence, answers),
        **_results(evidence, owners, residents),
    }
    figures = evidence.figures
    evidence.summary = (
        f"{mutants} damaged messages, {attacks} framing attacks, {len(residents)} patients: "
        f"{figures['kept']} kept, {unanswered} unanswered, {failed} errors, "
        f"{figures['results']} results, {figures['on_wrong_patient']} on a wrong patient"
    )
    return evidence
