"""What `make run` prepares and keeps running, as data."""

import hashlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from runner.supervisor import Program

SKIPPED_FOLDERS = frozenset({"var", "node_modules", "staticfiles"})
_MIGRATIONS = ("*/migrations/*.py", "requirements.txt")


@dataclass(frozen=True)
class Step:
    """One preparation. It runs again only when its inputs, its words or the database change.

    `inputs` are glob patterns below the checkout; `makes` is a path there that must exist
    afterwards. The standard output of a step with `keep_output` is shown at every start.
    """

    name: str
    argv: tuple[str, ...]
    inputs: tuple[str, ...]
    makes: str | None = None
    keep_output: bool = False

    def fingerprint(self, checkout: Path, database: str) -> str:
        digest = hashlib.sha256()
        for part in (database, *self.argv[1:]):
            digest.update(part.encode() + b"\0")
        for path in sorted(set(_matching(checkout, self.inputs))):
            digest.update(str(path.relative_to(checkout)).encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


def _matching(checkout: Path, patterns: Iterable[str]) -> Iterable[Path]:
    for pattern in patterns:
        for path in checkout.glob(pattern):
            top = path.relative_to(checkout).parts[0]
            if path.is_file() and top not in SKIPPED_FOLDERS and not top.startswith("."):
                yield path


@dataclass(frozen=True)
class Ports:
    """Loopback ports of one running system."""

    web: int
    mllp: int
    smtp: int
    mail: int


PREFERRED = Ports(web=8000, mllp=2575, smtp=1025, mail=8025)


@dataclass(frozen=True)
class Plan:
    """Everything specific to the application, so that the runner itself knows none of it.

    The system is ready when every program with a port accepts connections and the web program
    answers 200 at `ready_path`.
    """

    steps: Sequence[Step]
    programs: Sequence[Program]
    ready_path: str = "/readyz"
    settings: str = "portal.settings.local"


def linden(ports: Ports, var: Path) -> Plan:
    """Return the plan of Linden. Programs are listed in the order in which they stop."""
    python = sys.executable
    manage = (python, "manage.py")
    celery = (python, "-m", "celery", "-A", "portal")
    return Plan(
        steps=(
            Step(
                "migrations",
                (*manage, "migrate", "--database", "owner", "--noinput"),
                _MIGRATIONS,
            ),
            Step(
                "static files",
                (*manage, "collectstatic", "--noinput", "--verbosity", "0"),
                ("*/static/**/*", "requirements.txt", "portal/settings/*.py"),
                makes="staticfiles",
            ),
            Step(
                "demo people",
                (*manage, "demo", "--seed", "7"),
                (*_MIGRATIONS, "*/management/commands/demo*.py"),
                keep_output=True,
            ),
        ),
        programs=(
            Program(
                "web",
                (
                    *(python, "-m", "granian", "--interface", "wsgi", "--workers", "2"),
                    # Each thread keeps a database connection: the default of 256 threads a worker
                    # would ask for more than the server has.
                    *("--blocking-threads", "4", "--blocking-threads-idle-timeout", "600"),
                    *("--backpressure", "256", "--respawn-failed-workers"),
                    *("--workers-kill-timeout", "5", "--log-level", "warning"),
                    *("--host", "127.0.0.1", "--port", str(ports.web)),
                    "portal.wsgi:application",
                ),
                port=ports.web,
            ),
            Program(
                "worker",
                # One worker has nobody to gossip or mingle with; each would cost a second.
                (
                    *celery,
                    *("worker", "-c", "2", "--hostname", f"linden-{ports.web}@%h"),
                    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
                ),
            ),
            Program(
                "beat",
                (*celery, "beat", "--pidfile=", "--schedule", str(var / "celerybeat-schedule")),
                grace_seconds=5.0,
            ),
            Program(
                "mllp",
                (*manage, "mllp", "--host", "127.0.0.1", "--port", str(ports.mllp)),
                port=ports.mllp,
            ),
            Program(
                "mail",
                (
                    *(python, "-m", "runner.mailsink", "--smtp-port", str(ports.smtp)),
                    *("--http-port", str(ports.mail)),
                ),
                port=ports.mail,
                grace_seconds=5.0,
            ),
        ),
    )
