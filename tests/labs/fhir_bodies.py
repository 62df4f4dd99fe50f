"""FHIR bodies for tests, built element by element; every person is invented."""

import json
from typing import Any

LOINC = "http://loinc.org"
UCUM = "http://unitsofmeasure.org"
FLAGS = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"
ANNA = "urn:uuid:00000000-0000-4000-8000-000000000001"
Json = dict[str, Any]


def patient(number: str = "900001", family: str = "Testmann", **more: Any) -> Json:
    return {
        "resourceType": "Patient",
        "identifier": [{"system": "MAINLAB", "value": number}],
        "name": [{"family": family, "given": ["Anna"]}],
        "birthDate": "1970-01-01",
        "gender": "female",
        **more,
    }


def quantity(value: Any, unit: str = "U/L", **more: Any) -> Json:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit, **more}


def concept(code: str, system: str = LOINC, display: str = "") -> Json:
    coding = {"system": system, "code": code}
    return {"coding": [coding | ({"display": display} if display else {})]}


def observation(value: Any = 31, code: Any = "1742-6", **more: Any) -> Json:
    """Return a final ALT of Anna with its range; `None` among `more` leaves an element out."""
    made = {
        "resourceType": "Observation",
        "status": "final",
        "code": concept(code, display="ALT") if isinstance(code, str) else code,
        "subject": {"reference": ANNA},
        "valueQuantity": quantity(value),
        "referenceRange": [{"low": quantity(10), "high": quantity(40)}],
        "effectiveDateTime": "2026-11-20T08:15:00+01:00",
        "issued": "2026-11-20T10:25:00+01:00",
        **more,
    }
    return {name: element for name, element in made.items() if element is not None}


def report(*results: str, **more: Any) -> Json:
    made = {
        "resourceType": "DiagnosticReport",
        "identifier": [{"value": "FL1"}],
        "status": "final",
        "code": concept("24323-8", display="Metabolic panel"),
        "subject": {"reference": ANNA},
        "effectiveDateTime": "2026-11-20T08:15:00+01:00",
        "issued": "2026-11-20T10:25:00+01:00",
        "result": [{"reference": name} for name in results],
        **more,
    }
    return {name: element for name, element in made.items() if element not in (None, [])}


def bundle(*resources: Json | tuple[str, Json], kind: str = "collection", **more: Any) -> Json:
    """Return a Bundle; a pair gives the full address of its resource."""
    entries = []
    for resource in resources:
        address, held = resource if isinstance(resource, tuple) else ("", resource)
        entry: Json = {"resource": held} | ({"fullUrl": address} if address else {})
        if kind in ("transaction", "batch"):
            entry["request"] = {"method": "POST", "url": held["resourceType"]}
        entries.append(entry)
    return {"resourceType": "Bundle", "type": kind, "entry": entries, **more}


def annas(*resources: Json | tuple[str, Json], **more: Any) -> Json:
    return bundle((ANNA, patient()), *resources, **more)


def raw(body: Json) -> bytes:
    return json.dumps(body).encode()
