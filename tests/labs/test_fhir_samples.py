"""Every FHIR sample through the door, in the order of the golden file, twice: with nobody
registered, and with every complete patient known. And our reading against an independent one."""

import csv
import json
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client

from core.db import identity, system
from labs.fhir.json_text import FhirError
from labs.fhir.reader import read_fhir
from labs.hl7.facts import PatientIdentity, identity_gaps
from labs.models import Filing, InboundMessage, Observation
from labs.services.registration import NewPatient, register_for_matching
from tests.cast import Cast
from tests.labs.messages import laboratory
from tests.labs.test_fhir_door import post
from tests.labs.test_https_door import token
from tests.unit.hl7.samples import GOLDEN, SAMPLES

FHIR = SAMPLES / "fhir"
Fate = tuple[int, str, frozenset[str]]
pytestmark = [
    pytest.mark.skipif(not FHIR.is_dir(), reason=f"sample bodies absent: no folder {FHIR}"),
    pytest.mark.django_db,
]


def golden_rows() -> list[dict[str, str]]:
    with (GOLDEN / "fhir_dispositions.csv").open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


def golden(column: str) -> dict[str, Fate]:
    return {
        row["file"]: (
            int(row["status"]),
            row[f"disposition{column}"],
            frozenset(filter(None, row[f"reasons{column}"].split(";"))),
        )
        for row in golden_rows()
    }


def body(name: str) -> bytes:
    return (FHIR / name).read_bytes()


def identities() -> list[PatientIdentity]:
    found = []
    for row in golden_rows():
        try:
            read = read_fhir(body(row["file"]), zone=ZoneInfo("UTC"))
        except FhirError:
            continue
        found += [g.pid for g in read.groups if g.pid is not None and not identity_gaps(g.pid)]
    return found


def feed(client: Client, cast: Cast) -> dict[str, Fate]:
    laboratory(cast.clinic, client_id="lis")
    bearer = token("lis")
    names = [row["file"] for row in golden_rows()]
    statuses = [post(client, body(name), bearer).status_code for name in names]
    with identity(system("lab-intake")):
        kept = list(InboundMessage.objects.order_by("id"))
        filings = {filing.message_id: filing for filing in Filing.objects.all()}
    assert [bytes(message.raw) for message in kept] == [body(name) for name in names]
    found: dict[str, Fate] = {}
    for name, status, message in zip(names, statuses, kept, strict=True):
        filing = filings.get(message.id)
        fate, reasons = (
            (filing.outcome, filing.reasons) if filing else (message.receipt, message.reasons)
        )
        found[name] = (status, fate, frozenset(reasons))
    return found


def test_the_golden_file_covers_every_sample() -> None:
    present = sorted(str(path.relative_to(FHIR)) for path in FHIR.rglob("*.json"))
    assert [row["file"] for row in golden_rows()] == present


def test_every_sample_is_kept_and_answered_as_the_golden_file_says(
    client: Client, cast: Cast
) -> None:
    assert feed(client, cast) == golden("")
    with identity(system("lab-intake")):
        assert not Observation.objects.exists()


def test_every_sample_of_a_known_patient_is_filed_as_the_golden_file_says(
    client: Client, cast: Cast, now: datetime
) -> None:
    sex = {"F": "female", "M": "male"}
    people = [
        NewPatient(
            number=pid.identifiers[0].value,
            authority=pid.identifiers[0].authority,
            family_name=pid.family,
            given_name=pid.given,
            birth_date=pid.birth_date,
            sex=sex.get(pid.sex, "unknown"),
        )
        for pid in identities()
        if pid.birth_date is not None
    ]
    assert people
    register_for_matching(people=people, organization=None, now=now)
    assert feed(client, cast) == golden("_registered")
    with identity(system("lab-intake")):
        rows = Observation.objects.filter(message__door="fhir").select_related("patient")
        known = {(p.family_name, p.birth_date) for p in people}
        assert {(row.patient.family_name, row.patient.birth_date) for row in rows} == known


@pytest.mark.parametrize("name", ["Arla_Lang.json", "Grazyna_Considine.json"])
def test_values_units_and_codes_agree_with_an_independent_reader(name: str) -> None:
    resources = pytest.importorskip("fhir.resources.R4B.observation")
    entries = json.loads(body(f"synthea/{name}"), parse_float=Decimal)["entry"]
    lines = {
        line.set_id: line
        for report in read_fhir(body(f"synthea/{name}"), zone=ZoneInfo("UTC")).reports
        for line in report.observations
    }
    compared = 0
    for number, entry in enumerate(entries):
        found = lines.get(f"Bundle.entry[{number}].resource")
        if found is None:
            continue
        theirs: Any = resources.Observation.model_validate(entry["resource"])
        coding = theirs.code.coding[0]
        assert (found.code.code, found.code.text) == (coding.code, coding.display)
        assert found.observed_at.instant == theirs.effectiveDateTime
        if theirs.valueQuantity is not None:
            assert Decimal(found.texts[0]) == theirs.valueQuantity.value
            assert found.unit_text == theirs.valueQuantity.code
            compared += 1
    assert compared > 50
