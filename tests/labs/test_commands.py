"""Management commands of the laboratory part."""

import json
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from core.db import identity, system
from patients.models import Enrolment, Patient, PatientIdentifier
from tests.cast import Cast
from tests.labs.messages import Obr, Obx, laboratory, oru

pytestmark = pytest.mark.django_db
LINE = Obr([Obx("31")])


def test_files_are_ingested_like_messages(
    cast: Cast, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    laboratory(cast.clinic)
    batch = b"FHS|^~\\&\r" + oru(LINE, control_id="A1") + oru(Obr([Obx("?")]), pid="PID|1||0")
    (tmp_path / "a.hl7").write_bytes(batch)
    (tmp_path / "b.hl7").write_bytes(b"nonsense")
    call_command("ingest_hl7", str(tmp_path), "--json", "--sender", "mainlab")
    first, second, third = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (first["file"], first["msg"], first["msh10"]) == ("a.hl7", 1, "A1")
    assert (first["ack"], first["outcome"], first["patients"]) == ("AA", "stored", ["900001"])
    assert first["results"] == [
        {
            "obx_index": 1, "patient": "900001", "analyte": "alt", "loinc": "1742-6",
            "value": "31", "comparator": None, "unit": "U/L", "range": "10-40", "lab_flag": "",
            "state": "IN_RANGE", "rule": "range.inside", "reason": first["results"][0]["reason"],
        }
    ]  # fmt: skip
    assert (second["outcome"], second["results"][0]["state"]) == ("queued", "PENDING")
    assert second["results"][0]["patient"] is None
    assert (third["file"], third["ack"], third["outcome"]) == ("b.hl7", "AE", "refused")
    call_command("ingest_hl7", str(tmp_path / "a.hl7"))
    assert "2 messages in 1 files: 2 duplicate" in capsys.readouterr().out
    with pytest.raises(CommandError):
        call_command("ingest_hl7", str(tmp_path), "--sender", "nobody")


def test_an_mllp_dump_is_a_file_of_messages(
    cast: Cast, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    laboratory(cast.clinic)
    dump = tmp_path / "dump.bin"
    dump.write_bytes(b"\x0b" + oru(LINE) + b"\x1c\r\x0b" + oru(LINE) + b"\x1c\r")
    call_command("ingest_hl7", str(dump), "--json")
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_a_message_above_the_limit_is_refused_and_kept_in_part(
    cast: Cast, tmp_path: Path, capsys: pytest.CaptureFixture[str], settings: object
) -> None:
    laboratory(cast.clinic)
    settings.INTAKE_MAX_BYTES = 500  # type: ignore[attr-defined]
    big = tmp_path / "big.hl7"
    big.write_bytes(oru(Obr([Obx("31", notes=["x" * 1000])])))
    call_command("ingest_hl7", str(big), "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["ack"], found["outcome"], found["reasons"]) == (
        "AE",
        "refused",
        ["body-too-large"],
    )


PEOPLE = """mrn,authority,family,given,dob,sex
M1,NORTH,Muster,Mia,1961-02-03,F
M2,NORTH,Beispiel,Bea,1972-03-04,f
900001,MAINLAB,Testmann,Anna,1970-01-01,F
"""


def test_people_are_registered_once(
    cast: Cast, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE)
    call_command("register_patients", str(path), "--organization", "Lindenhof Clinic")
    call_command("register_patients", str(path))
    assert capsys.readouterr().out.splitlines() == [
        "2 registered, 1 were known already",
        "0 registered, 3 were known already",
    ]
    with identity(system("registration")):
        mia = Patient.objects.get(identifiers__value="M1")
        assert (mia.family_name_key, mia.sex, str(mia.birth_date)) == (
            "muster",
            "female",
            "1961-02-03",
        )
        assert Enrolment.objects.filter(patient=mia, organization=cast.clinic).exists()


@pytest.mark.parametrize(
    "text",
    [
        "mrn,family\nM1,Muster\n",
        "mrn,authority,family,given,dob,sex\nM1,NORTH,Muster,Mia,03.02.1961,F\n",
        "mrn,authority,family,given,dob,sex\n,NORTH,Muster,Mia,1961-02-03,F\n",
    ],
)
def test_a_wrong_file_registers_nobody(cast: Cast, tmp_path: Path, text: str) -> None:
    path = tmp_path / "people.csv"
    path.write_text(text)
    with pytest.raises(CommandError):
        call_command("register_patients", str(path))
    with identity(system("registration")):
        assert not PatientIdentifier.objects.filter(authority="NORTH").exists()
