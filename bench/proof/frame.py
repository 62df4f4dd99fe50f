"""Runs the parts one after the other, keeps what they found, and writes docs/proof.json."""

import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.proof.catalog import Part
from bench.proof.tree import CHECKOUT, commit, source_digest
from runner.processes import spawn, stop

LIMIT_SECONDS = 15 * 60.0
# A part that keeps its progress may need several such slices on a busy machine.
MAX_SLICES = 4
PACKAGES = ("django", "djangorestframework", "psycopg", "celery", "granian")
# A part always has servers of its own: those named here may hold somebody's data.
_NOT_PASSED_ON = ("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")
_MODULE = "bench.proof.child"


def _command(part: Part, arguments: Sequence[str]) -> list[str]:
    child = [sys.executable, "-m", _MODULE, part.name, *arguments]
    if not part.servers:
        return child
    return [sys.executable, "-m", "runner", "exec", "--durable", "--", *child]


def run_child(
    part: Part, *, quick: bool, result: Path, source: str, log: Path, limit: float
) -> dict[str, Any]:
    """Run one part in its own process, at most `limit` seconds, and return what it found."""
    result.unlink(missing_ok=True)
    arguments = ["--result", str(result), "--source", source, "--seconds", f"{limit:g}"]
    arguments += ["--quick"] if quick else []
    environment = {k: v for k, v in os.environ.items() if k not in _NOT_PASSED_ON}
    environment["DJANGO_SETTINGS_MODULE"] = "bench.settings"
    with log.open("wb") as output:
        process = spawn(
            _command(part, arguments),
            env=environment,
            cwd=CHECKOUT,
            death_signal=signal.SIGTERM,
            output=output,
        )
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            return _broken(f"not done after {limit / 60:g} minutes", limit)
        finally:
            stop(process, number=signal.SIGTERM, grace_seconds=30.0)
    if not result.exists():
        return _broken(f"ended without a result, with code {process.returncode}", 0.0)
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def _broken(fault: str, seconds: float) -> dict[str, Any]:
    return {
        "status": "failed", "summary": "", "figures": {}, "faults": [fault], "seconds": seconds
    }  # fmt: skip


@dataclass(frozen=True)
class Proof:
    """One proof of the present source. State lies in `state`, one file a part and size."""

    parts: Sequence[Part]
    state: Path
    quick: bool = False
    fresh: bool = False
    limit: float = LIMIT_SECONDS
    say: Callable[[str], None] = print
    digest: Callable[[], str] = source_digest

    def run(self, wanted: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Run the wanted parts (all when none is named) and return every entry found so far.

        A part that passed on exactly this source is not run again unless asked for by name.
        """
        folder = self._folder()
        entries = []
        for part in self.parts:
            source = self.digest()
            kept = self._kept(part, source)
            if wanted and part.name not in wanted:
                entries.append(kept or {**_frame(part), "status": "not run"})
                continue
            again = self.fresh or bool(wanted) or kept is None or kept["status"] != "passed"
            if kept is not None and not again:
                self.say(f"{line_of(kept)} (kept)")
                entries.append(kept)
                continue
            entry = self._prove(part, folder, source)
            self.say(line_of(entry))
            for fault in entry["faults"]:
                self.say(f"  {fault}")
            entries.append(entry)
        return entries

    def _folder(self) -> Path:
        folder = self.state / ("quick" if self.quick else "full")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _kept(self, part: Part, source: str) -> dict[str, Any] | None:
        file = self._folder() / f"{part.name}.entry.json"
        if not file.exists():
            return None
        entry: dict[str, Any] = json.loads(file.read_text())
        return entry if entry["source"] == source else None

    def _prove(self, part: Part, folder: Path, source: str) -> dict[str, Any]:
        result = folder / f"{part.name}.result.json"
        if self.fresh:
            result.with_suffix(".progress").unlink(missing_ok=True)
        seconds = 0.0
        for _ in range(MAX_SLICES):
            found = run_child(
                part,
                quick=self.quick,
                result=result,
                source=source,
                log=folder / f"{part.name}.log",
                limit=self.limit,
            )
            seconds += found["seconds"]
            if found["status"] != "unfinished":
                break
            self.say(f"{part.name:<10} goes on")
        found = {**found, "seconds": round(seconds, 1)}
        if self.digest() != source:
            changed = "the source changed while this part ran"
            found = {**found, "status": "failed", "faults": [*found["faults"], changed]}
        entry = {
            **_frame(part),
            **found,
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "commit": commit(),
            "source": source,
        }
        (folder / f"{part.name}.entry.json").write_text(json.dumps(entry, indent=1))
        return entry


def _frame(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "title": part.title,
        "promises": list(part.promises),
        "seed": part.seed,
    }


def line_of(entry: Mapping[str, Any]) -> str:
    """Return the one line that tells how a part went."""
    words = [f"{entry['name']:<10}", f"{entry['status']:<8}"]
    if "seconds" in entry:
        words.append(f"{entry['seconds']:>6.0f} s ")
    return " ".join([*words, entry.get("summary", "")]).rstrip()


def holds(entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every part was run and passed on one and the same source. A skip is no pass."""
    passed = all(entry["status"] == "passed" for entry in entries)
    return passed and len({entry["source"] for entry in entries}) == 1


def report(entries: Sequence[Mapping[str, Any]], *, quick: bool) -> str:
    """Return the text of docs/proof.json."""
    found = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "quick": quick,
        "holds": holds(entries),
        "cores": os.cpu_count(),
        "versions": {
            "Python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
        "parts": list(entries),
    }
    return json.dumps(found, indent=2, ensure_ascii=False) + "\n"
