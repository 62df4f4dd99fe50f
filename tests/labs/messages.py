"""HL7 messages for tests, written line by line; every person is invented."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

from accounts.models import Organization
from core.db import identity, system
from labs.models import SenderName, SendingLaboratory
from labs.services.intake import Answer, receive
from labs.services.senders import Door, Origin

FROM_LAB = Origin(door=Door.MLLP, peer="127.0.0.1")
_ids = count(1)
ANNA = "PID|1||900001^^^MAINLAB^MR||TESTMANN^ANNA||19700101|F"


def laboratory(
    organization: Organization, key: str = "mainlab", **settings: Any
) -> SendingLaboratory:
    """Register a laboratory that signs as LIS|<KEY> and sends from loopback."""
    settings.setdefault("zone", "Europe/Berlin")
    settings.setdefault("peer_networks", ["127.0.0.0/8"])
    with identity(system("registration")):
        made = SendingLaboratory.objects.create(
            key=key, name=key.title(), organization=organization, **settings
        )
        SenderName.objects.create(laboratory=made, application="LIS", facility=key.upper())
    return made


@dataclass(frozen=True)
class Obx:
    """One result line; `code` is LOINC unless `system` says otherwise."""

    value: str
    code: str = "1742-6"
    name: str = "ALT"
    unit: str = "U/L"
    range: str = "10-40"
    flag: str = ""
    status: str = "F"
    type: str = "NM"
    system: str = "LN"
    sub_id: str = ""
    at: str = ""
    notes: Sequence[str] = ()


CALCIUM = {"code": "17861-6", "name": "Calcium", "unit": "mg/dL", "range": "8.6-10.2"}
ALBUMIN = {"code": "1751-7", "name": "Albumin", "unit": "g/dL", "range": "3.5-5.5"}
BILIRUBIN = {"code": "1975-2", "name": "Bilirubin", "unit": "mg/dL", "range": "0.2-1.2"}


@dataclass(frozen=True)
class Obr:
    lines: Sequence[Obx]
    filler: str = "FL1"
    code: str = "24323-8^Metabolic panel^LN"
    collected: str = "20261120081500+0100"
    resulted: str = "20261120102500+0100"
    status: str = "F"
    specimen: str = ""


def oru(
    *orders: Obr | str,
    pid: str = ANNA,
    control_id: str | None = None,
    facility: str = "MAINLAB",
    sent: str = "20261120103000+0100",
    processing: str = "P",
    version: str = "2.5.1",
) -> bytes:
    """Return an ORU^R01 message; a string among `orders` goes in as a segment."""
    control_id = f"T{next(_ids):06d}" if control_id is None else control_id
    segments = [
        rf"MSH|^~\&|LIS|{facility}|PORTAL|CC|{sent}||ORU^R01^ORU_R01|{control_id}|{processing}"
        f"|{version}",
    ]
    if pid:
        segments.append(pid)
    for number, order in enumerate(orders, start=1):
        segments += [order] if isinstance(order, str) else _order(number, order)
    return "\r".join(segments).encode() + b"\r"


def _order(number: int, order: Obr) -> list[str]:
    obr = [""] * 26
    obr[0], obr[1], obr[2], obr[3], obr[4] = "OBR", str(number), "PL1^EHR", order.filler, order.code
    obr[7], obr[22], obr[24], obr[25] = order.collected, order.resulted, "CH", order.status
    segments = ["|".join(obr)]
    for index, line in enumerate(order.lines, start=1):
        code = f"{line.code}^{line.name}^{line.system}"
        obx = ["OBX", str(index), line.type, code, line.sub_id, line.value, line.unit]
        obx += [line.range, line.flag, "", "", line.status, "", "", line.at]
        segments.append("|".join(obx).rstrip("|"))
        segments += [f"NTE|{n}||{text}" for n, text in enumerate(line.notes, start=1)]
    if order.specimen:
        segments.append(f"SPM|1|{order.specimen}||SER")
    return segments


def send(raw: bytes, now: datetime, origin: Origin = FROM_LAB) -> Answer:
    return receive(raw, origin=origin, now=now)


def send_one(now: datetime, *lines: Obx, **order: Any) -> Answer:
    """Send one order with `lines` for Anna."""
    return send(oru(Obr(lines, **order)), now)
