"""Send somebody's own message files, and print what became of each line.

For every complete PID a patient is registered through the staff API first, as the front desk
would. A message whose PID is incomplete must end in the queue, and that is a pass.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import requests

from labs.hl7.answers import classify
from labs.hl7.message import parse, split_messages
from labs.hl7.oru import PatientIdentity, identity_gaps, read_oru
from portal.demo.accounts import DEMO_PASSWORD, DESK_CLIENT, staff_email
from portal.journeys.outside import Laboratory, System, acknowledgement, expect
from portal.journeys.phone import Phone

_SEX = {"F": "female", "M": "male", "O": "other"}


def send_files(system: System, files: Sequence[Path], *, say: Callable[[str], None]) -> None:
    """Send every message of every file. Raises: WrongAnswer at the first wrong thing."""
    desk = _signed_in(system, "frieda")
    nurse = _signed_in(system, "nora")
    laboratory = Laboratory(system)
    for path in files:
        for number, raw in enumerate(split_messages(path.read_bytes()), start=1):
            say(f"{path.name} message {number}")
            _send(raw, desk=desk, nurse=nurse, laboratory=laboratory, say=say)
    laboratory.close()


def _signed_in(system: System, who: str) -> Phone:
    staff = Phone(system, client_id=DESK_CLIENT)
    staff.sign_in(email=staff_email(who), password=DEMO_PASSWORD, scopes="staff")
    return staff


def _send(
    raw: bytes, *, desk: Phone, nurse: Phone, laboratory: Laboratory, say: Callable[[str], None]
) -> None:
    intake = classify(raw)
    complete = _register_people(raw, desk, say) if intake.ack == "AA" else False
    code, control_id = acknowledgement(laboratory.send(raw))
    expect(code in ("AA", "AE", "AR"), f"the answer was {code}")
    expect(code == intake.ack, f"answered {code}, the rules say {intake.ack}")
    say(f"  answered {code}")
    if code != "AA":
        return
    found = nurse.post(
        "staff/lab-messages/$find", {"sender": None, "control_id": control_id}, status=200
    )
    fate = found["messages"][0] if "messages" in found else found
    say(f"  {fate['disposition']} {' '.join(fate['reasons'])}".rstrip())
    if not complete:
        expect(fate["disposition"] != "stored", "an incomplete PID was filed")
    for line in fate["lines"]:
        say(f"    {_line_words(line)}")


def _line_words(line: dict[str, Any]) -> str:
    parts = [
        f"OBX {line['obx_index']}",
        line["outcome"],
        line["loinc"],
        line["state"],
        line["rule"],
    ]
    return "  ".join(str(part) for part in (*parts, line["reason"]) if part)


def _register_people(raw: bytes, desk: Phone, say: Callable[[str], None]) -> bool:
    """Register a patient for every complete PID; say whether all were complete."""
    message = read_oru(parse(raw), zone=ZoneInfo("UTC"), now=datetime.now(UTC))
    complete = True
    for group in message.groups:
        if group.pid is None or identity_gaps(group.pid, default_authority=""):
            complete = False
            continue
        say(f"  {_register(group.pid, desk)}")
    return complete


def _register(pid: PatientIdentity, desk: Phone) -> str:
    number = next(entry for entry in pid.identifiers if entry.authority)
    answer = desk.send(
        "staff/patients",
        {
            "given_name": pid.given or "Unknown",
            "family_name": pid.family,
            "birth_date": str(pid.birth_date),
            "sex": _SEX.get(pid.sex, "unknown"),
            "identifiers": [{"authority": number.authority, "value": number.value}],
        },
    )
    if answer.status_code == requests.codes.created:
        return "registered a patient for its PID"
    code = answer.json().get("code", "")
    expect(code == "identifier-in-use", f"registering answered {answer.status_code} {code}")
    return "its patient is registered already"
