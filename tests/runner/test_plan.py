"""When a preparation runs again, which ports are chosen, what Linden's plan contains."""

import socket
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from runner.plan import PREFERRED, Step, linden
from runner.ports import LOOPBACK, PortReservations, any_free_port

STEP = Step("migrations", ("python", "manage.py", "migrate"), ("*/migrations/*.py",))


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for app in ("labs", "var", ".venv"):
        (tmp_path / app / "migrations").mkdir(parents=True)
        (tmp_path / app / "migrations" / "0001_initial.py").write_text("1")
    return tmp_path


def test_fingerprint_changes_with_migrations_words_and_database(checkout: Path) -> None:
    before = STEP.fingerprint(checkout, "1/2")
    assert STEP.fingerprint(checkout, "1/2") == before
    assert STEP.fingerprint(checkout, "1/3") != before
    assert replace(STEP, argv=("python", "manage.py")).fingerprint(checkout, "1/2") != before
    (checkout / "labs" / "migrations" / "0002_more.py").write_text("1")
    added = STEP.fingerprint(checkout, "1/2")
    (checkout / "labs" / "migrations" / "0002_more.py").write_text("2")
    assert len({before, added, STEP.fingerprint(checkout, "1/2")}) == 3


def test_fingerprint_ignores_another_python_and_folders_that_are_not_ours(checkout: Path) -> None:
    before = STEP.fingerprint(checkout, "1/2")
    (checkout / "var" / "migrations" / "0001_initial.py").write_text("2")
    (checkout / ".venv" / "migrations" / "0001_initial.py").write_text("2")
    other = replace(STEP, argv=("/elsewhere/python", *STEP.argv[1:]))
    assert other.fingerprint(checkout, "1/2") == before


def test_programs_stop_from_the_edge_inwards(tmp_path: Path) -> None:
    plan = linden(PREFERRED, tmp_path)
    assert [p.name for p in plan.programs] == ["web", "worker", "beat", "mllp", "mail"]
    assert [s.name for s in plan.steps] == ["migrations", "static files", "demo people"]
    argvs = [step.argv for step in plan.steps] + [program.argv for program in plan.programs]
    assert {argv[0] for argv in argvs} == {sys.executable}
    beat = next(p for p in plan.programs if p.name == "beat")
    assert str(tmp_path / "celerybeat-schedule") in beat.argv


def test_the_next_port_is_taken_when_the_preferred_one_is_in_use() -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        reservations = PortReservations()
        assert reservations.take(port) > port
        reservations.close()


def test_the_next_port_is_taken_when_somebody_listens_on_every_address() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        reservations = PortReservations()
        assert reservations.take(port) > port
        reservations.close()


def test_a_chosen_port_is_nobody_elses_before_its_server_listens() -> None:
    port = any_free_port()
    mine, theirs = PortReservations(), PortReservations()
    chosen = mine.take(port)
    assert theirs.take(chosen) > chosen
    mine.close()
    assert theirs.take(chosen) == chosen
    theirs.close()
