"""Management commands of the laboratory part."""

import io
import json
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from core.db import identity, system
from labs.models import Observation
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


def test_a_frame_that_a_dump_cuts_off_is_no_message(
    cast: Cast, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of its segments may be there, and still nobody knows what would have come."""
    laboratory(cast.clinic)
    dump = tmp_path / "dump.bin"
    dump.write_bytes(b"\x0b" + oru(LINE) + b"\x1c\r\x0b" + oru(Obr([Obx("3")], filler="FL2")))
    call_command("ingest_hl7", str(dump), "--json")
    whole, cut = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (whole["outcome"], cut["ack"], cut["outcome"]) == ("stored", "AE", "refused")
    assert (cut["reasons"], [line["patient"] for line in cut["results"]]) == (
        ["frame-incomplete"],
        [None],
    )
    with identity(system("lab-intake")):
        assert Observation.objects.count() == 1


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_taken(
    cast: Cast, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    laboratory(cast.clinic)
    for name in ("a.hl7", "b.hl7"):
        (tmp_path / name).write_bytes(oru(LINE, control_id=name))
    read = Path.read_bytes

    def refused(path: Path) -> bytes:
        if path.name == "a.hl7":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    with pytest.raises(CommandError, match="1 of 2 files"):
        call_command("ingest_hl7", str(tmp_path))
    found = capsys.readouterr()
    assert "cannot read a.hl7: Permission denied" in found.err
    assert "1 messages in 2 files: 1 stored" in found.out


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("asked", [(), ("--json",)])
def test_a_terminal_shows_how_far_it_is_and_json_stays_json(
    cast: Cast,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    asked: tuple[str, ...],
) -> None:
    laboratory(cast.clinic)
    batch = b"FHS|^~\\&\rBHS|^~\\&\r" + oru(LINE) + oru(Obr([Obx("9")], filler="F9"))
    (tmp_path / "a.hl7").write_bytes(batch + b"BTS|2\rFTS|1\r")
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    call_command("ingest_hl7", str(tmp_path / "a.hl7"), *asked)
    steps = screen.getvalue().partition("\n")[0].split("\r")[1:]
    assert [step.partition("] ")[2] for step in steps] == [
        "1 messages, 0/1 files", "2 messages, 0/1 files", "2 messages, 1/1 files",
    ]  # fmt: skip
    assert steps[2].startswith("[" + "#" * 30 + "]")
    out = capsys.readouterr().out
    summary = "2 messages in 1 files: 2 stored"
    if asked:
        assert [json.loads(line)["msg"] for line in out.splitlines()] == [1, 2]
    else:
        assert out.splitlines() == [summary]


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
        "mrn,authority,family,given,dob,sex\nM1,NORTH,Muster\n",
        "mrn,authority,family,given,dob,sex\nM1,NORTH,Muster,Mia,1961-02-03,F,more\n",
        "mrn,authority,family,given,dob,sex\nM1,NORTH,M\xfcller,Mia,1961-02-03,F\n",
        "mrn,authority,family,given,dob,sex\nM1,NORTH,Muster,Mia,1961-02-03,F\n"
        "M1,NORTH,Muster,Mia,1961-02-04,F\n",
        "",
    ],
)
def test_a_wrong_file_registers_nobody(cast: Cast, tmp_path: Path, text: str) -> None:
    path = tmp_path / "people.csv"
    path.write_text(text, encoding="latin-1")
    with pytest.raises(CommandError):
        call_command("register_patients", str(path))
    with identity(system("registration")):
        assert not PatientIdentifier.objects.filter(authority="NORTH").exists()
