"""HL7-2 on real messages: every sample is answered, kept, and settled as the golden file says."""

import csv
import os
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import hl7kit

from bench.proof.mllp import Sender, ack_code, framed, listener
from bench.proof.population import open_laboratory, open_organization
from bench.proof.run import Absent, Evidence, Run
from bench.proof.tree import CHECKOUT
from bench.proof.world import count, owner
from core.clock import utc_now
from core.db import identity, system
from labs.hl7.answers import classify
from labs.hl7.message import parse, split_messages
from labs.hl7.oru import identity_gaps, read_oru
from labs.models import Filing, InboundMessage, Observation
from labs.services.registration import NewPatient, register_for_matching
from patients.models import PatientIdentifier
from patients.names import normalised_family_name

Found = tuple[str, int, str, str, tuple[str, ...]]
GOLDEN = CHECKOUT / "tests" / "golden" / "dispositions.csv"
_SEX = {"F": "female", "M": "male"}


def samples_folder() -> Path:
    """Return where the sample messages lie. Raises: Absent."""
    folder = Path(os.environ.get("LINDEN_SAMPLES", CHECKOUT.parent / "shared" / "samples"))
    if not (folder / "hl7v2").is_dir():
        raise Absent("no sample messages here: set LINDEN_SAMPLES")
    return folder / "hl7v2"


def _golden(column: str) -> list[Found]:
    with GOLDEN.open(encoding="utf-8", newline="") as handle:
        return [
            (
                row["file"],
                int(row["message"]),
                row["ack"],
                row[f"disposition{column}"],
                tuple(sorted(filter(None, row[f"reasons{column}"].split(";")))),
            )
            for row in csv.DictReader(handle)
        ]


def _stream(file: Path) -> bytes:
    """Return a file as it travels: one frame, or the recorded stream of frames as it is."""
    data = file.read_bytes()
    return data if data[:1] == b"\x0b" else framed(data)


def _send_all(port: int, files: Sequence[Path], counts: dict[str, int]) -> dict[str, list[str]]:
    """Send every file in order over one connection; return the answer codes of each."""
    codes = {}
    with Sender(port) as sender:
        for file in files:
            sender.send(_stream(file))
            codes[file.name] = [ack_code(a) for a in sender.answers(counts[file.name])]
        sender.finish()
        codes["after the last file"] = [ack_code(answer) for answer in sender.rest()]
    return codes


def _kept() -> list[InboundMessage]:
    return list(InboundMessage.objects.order_by("id"))


def _found(messages: Sequence[InboundMessage], codes: dict[str, list[str]]) -> Iterator[Found]:
    filings = {filing.message_id: filing for filing in Filing.objects.all()}
    places = [(name, n, code) for name in codes for n, code in enumerate(codes[name], start=1)]
    for (name, number, code), message in zip(places, messages, strict=False):
        filing = filings.get(message.id)
        if filing is not None:
            outcome, reasons = filing.outcome, filing.reasons
        else:
            outcome = "queued" if message.receipt == "set-aside" else message.receipt
            reasons = message.reasons
        yield name, number, code, outcome, tuple(sorted(set(reasons)))


def _register_everybody(files: Sequence[Path]) -> int:
    """Register the person of every complete PID, as an index that knows everybody would."""
    people = []
    for file in files:
        for raw in split_messages(file.read_bytes()):
            if classify(raw).disposition != "accept":
                continue
            for group in read_oru(parse(raw), zone=ZoneInfo("UTC")).groups:
                pid = group.pid
                if pid is None or identity_gaps(pid) or pid.birth_date is None:
                    continue
                number = pid.identifiers[0]
                people.append(
                    NewPatient(
                        number=number.value,
                        authority=number.authority,
                        family_name=pid.family,
                        given_name=pid.given,
                        birth_date=pid.birth_date,
                        sex=_SEX.get(pid.sex, "unknown"),
                    )
                )
    return register_for_matching(people=people, organization=None, now=utc_now())


def _people_named(raw: bytes) -> set[tuple[str, str, date]]:
    """Return (number, family name, birth date) of every PID, read by an independent parser."""
    message = hl7kit.parse(raw)
    found = set()
    for nth in range(1, message.segments().count("PID") + 1):
        family = normalised_family_name(message.get(f"PID[{nth}]-5[1].1") or "")
        born = (message.get(f"PID[{nth}]-7[1].1") or "")[:8]
        for repetition in range(1, 21):
            number = message.get(f"PID[{nth}]-3[{repetition}].1") or ""
            if number and len(born) == 8:
                day = date(int(born[:4]), int(born[4:6]), int(born[6:]))
                found.add((number.strip(), family, day))
    return found


def _on_wrong_patient() -> tuple[int, int]:
    """Return how many results there are, and how many whose message does not name the patient."""
    numbers: dict[UUID, set[str]] = {}
    for patient_id, value in PatientIdentifier.objects.values_list("patient_id", "value"):
        numbers.setdefault(patient_id, set()).add(value)
    rows = Observation.objects.select_related("message", "patient").order_by("message_id")
    total = wrong = 0
    for _, group in groupby(rows, key=lambda row: row.message_id):
        results = list(group)
        named = _people_named(bytes(results[0].message.raw))
        for row in results:
            total += 1
            patient = row.patient
            who = {
                (number, patient.family_name_key, patient.birth_date)
                for number in numbers[patient.id]
            }
            wrong += not who & named
    return total, wrong


def _one_pass(
    port: int, files: Sequence[Path], column: str, evidence: Evidence, what: str
) -> dict[str, int]:
    golden = _golden(column)
    counts = {file.name: sum(row[0] == file.name for row in golden) for file in files}
    codes = _send_all(port, files, counts)
    answered = sum(map(len, codes.values()))
    evidence.expect_equal(answered, len(golden), f"{what}: answers")
    with identity(system("lab-intake")):
        kept = _kept()
        evidence.expect_equal(len(kept), len(golden), f"{what}: messages kept")
        names = [name for name in codes for _ in codes[name]]
        whole = {file.name: file.read_bytes() for file in files}
        raws = [(whole.get(name, b""), bytes(m.raw)) for name, m in zip(names, kept, strict=False)]
        cut = sum(not raw or raw not in data for data, raw in raws)
        evidence.expect_equal(cut, 0, f"{what}: messages not kept byte for byte")
        different = [
            f"{found[0]} message {found[1]}"
            for found, wanted in zip(_found(kept, codes), golden, strict=False)
            if found != wanted
        ]
        for place in different:
            evidence.faults.append(f"{what}: {place} is not disposed of as the golden file says")
        results, wrong = _on_wrong_patient()
    evidence.expect_equal(wrong, 0, f"{what}: results on a wrong patient")
    return {
        "answered": answered,
        "kept": len(kept),
        "as_golden": len(golden) - len(different),
        "results": results,
        "on_wrong_patient": wrong,
    }


def prove(run: Run) -> Evidence:
    evidence = Evidence()
    files = sorted(f for f in samples_folder().iterdir() if f.suffix in {".hl7", ".bin"})
    named = {row[0] for row in _golden("")}
    evidence.expect_equal({file.name for file in files} ^ named, set(), "files without a verdict")
    open_laboratory(open_organization(), gateway=True)
    with listener(run.folder) as process:
        run.say("with nobody registered")
        unknown = _one_pass(process.port, files, "", evidence, "nobody registered")
        evidence.expect_equal(unknown["results"], 0, "results although nobody is registered")
        with owner() as connection:
            connection.execute("TRUNCATE labs_inboundmessage CASCADE")
        people = _register_everybody(files)
        run.say(f"with {people} people registered")
        known = _one_pass(process.port, files, "_registered", evidence, "everybody registered")
        evidence.expect(known["results"] > 0, "no result was filed although people are known")
        events = process.events()
        evidence.expect(not process.has_traceback(), "the listener's log holds a traceback")
    failed = events["intake.filing_failed"] + events["intake.not_kept"]
    evidence.expect_equal(failed, 0, "messages whose filing or keeping failed")
    evidence.expect_equal(count("SELECT count(*) FROM labs_unfiledmessage"), 0, "left unfiled")
    evidence.figures = {
        "files": len(files),
        "nobody_registered": unknown,
        "people_registered": people,
        "everybody_registered": known,
        "failed": failed,
    }
    evidence.summary = (
        f"{len(files)} files, {known['kept']} messages, twice: all answered and kept, "
        f"{unknown['as_golden']} and {known['as_golden']} as the golden file says; "
        f"{known['results']} results, {known['on_wrong_patient']} on a wrong patient"
    )
    return evidence
