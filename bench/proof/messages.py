"""Faultless messages of the proof's laboratory, as HL7 v2 and as FHIR."""

import json
import random

from bench.proof.population import APPLICATION, FACILITY, Resident

_LOINC, _UCUM = "http://loinc.org", "http://unitsofmeasure.org"
_LINES = (
    ("1742-6^ALT^LN", "U/L", "10-40", 5, 400),
    ("1920-8^AST^LN", "U/L", "10-40", 5, 400),
    ("17861-6^Calcium^LN", "mg/dL", "8.6-10.2", 6, 16),
    ("1751-7^Albumin^LN", "g/dL", "3.5-5.5", 2, 6),
    ("1975-2^Bilirubin^LN", "mg/dL", "0.2-1.2", 0, 9),
)


def _value(bounds: str, low: float, high: float, chance: random.Random, calm: float) -> str:
    if chance.random() < calm:
        low, high = (float(bound) for bound in bounds.split("-"))
    return f"{chance.uniform(low, high):.1f}"


def message_for(
    resident: Resident, control_id: str, chance: random.Random, *, calm: float = 0.0
) -> bytes:
    """Return a faultless ORU^R01 for one resident; the share `calm` of its values is in range."""
    person = resident.person
    born = person.birth_date.strftime("%Y%m%d")
    segments = [
        rf"MSH|^~\&|{APPLICATION}|{FACILITY}|PORTAL|CC|20261101103000+0100||ORU^R01^ORU_R01|"
        rf"{control_id}|P|2.5.1",
        f"PID|1||{person.number}^^^{person.authority}^MR||"
        f"{person.family_name.upper()}^{person.given_name.upper()}||{born}|F",
        f"OBR|1|PL{control_id}|FL{control_id}|24323-8^Metabolic panel^LN|||20261101081500+0100"
        "|||||||||||||||20261101102500+0100||CH|F",
    ]
    for index, (code, unit, bounds, low, high) in enumerate(_LINES, start=1):
        value = _value(bounds, low, high, chance, calm)
        segments.append(f"OBX|{index}|NM|{code}||{value}|{unit}|{bounds}||||F")
    return "\r".join(segments).encode() + b"\r"


def bundle_for(
    resident: Resident, identifier: str, chance: random.Random, *, calm: float = 0.0
) -> bytes:
    """Return such a report as a FHIR Bundle."""
    person = resident.person
    when = {"effectiveDateTime": "2026-11-01T08:15:00+01:00", "issued": "2026-11-01T10:25:00+01:00"}
    patient = {
        "resourceType": "Patient",
        "identifier": [{"system": person.authority, "value": person.number}],
        "name": [{"family": person.family_name, "given": [person.given_name]}],
        "birthDate": person.birth_date.isoformat(),
        "gender": "female",
    }
    entries = [("urn:uuid:patient", patient)]
    subject = {"reference": "urn:uuid:patient"}
    for number, (code, unit, bounds, low, high) in enumerate(_LINES):
        lowest, highest = (
            {"value": float(bound), "unit": unit, "system": _UCUM, "code": unit}
            for bound in bounds.split("-")
        )
        loinc, name, _ = code.split("^")
        value = float(_value(bounds, low, high, chance, calm))
        result = {
            "resourceType": "Observation",
            "status": "final",
            "code": {"coding": [{"system": _LOINC, "code": loinc, "display": name}]},
            "subject": subject,
            "valueQuantity": {"value": value, "unit": unit, "system": _UCUM, "code": unit},
            "referenceRange": [{"low": lowest, "high": highest}],
            **when,
        }
        entries.append((f"urn:uuid:result{number}", result))
    report = {
        "resourceType": "DiagnosticReport",
        "identifier": [{"value": identifier}],
        "status": "final",
        "code": {"coding": [{"system": _LOINC, "code": "24323-8", "display": "Metabolic panel"}]},
        "subject": subject,
        "result": [{"reference": name} for name, _ in entries[1:]],
        **when,
    }
    body = {
        "resourceType": "Bundle",
        "type": "collection",
        "identifier": {"value": identifier},
        "entry": [
            *({"fullUrl": address, "resource": resource} for address, resource in entries),
            {"resource": report},
        ],
    }
    return json.dumps(body).encode()
