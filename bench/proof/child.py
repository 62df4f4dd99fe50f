"""One part in a process of its own: `python -m bench.proof.child NAME --result FILE`."""

import argparse
import importlib
import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from bench.proof.catalog import part_named
from bench.proof.run import Absent, Evidence, Progress, Run, Unfinished
from bench.proof.tree import CHECKOUT


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.proof.child", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--source", required=True, help="digest of the project's files")
    parser.add_argument("--seconds", type=float, required=True, help="until it is stopped")
    parser.add_argument("--quick", action="store_true")
    return parser.parse_args()


def _place(error: BaseException) -> str:
    """Return where in the project an exception came from, without any folder above it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(f"{CHECKOUT}{os.sep}")]
    if not ours:
        return "outside the project"
    return f"{Path(ours[-1].filename).relative_to(CHECKOUT)}:{ours[-1].lineno}"


def prove(name: str, *, quick: bool, result: Path, source: str, limit: float) -> dict[str, Any]:
    """Run one part and return its result; an exception is a fault like any other."""
    part = part_named(name)
    progress = Progress(result.with_suffix(".progress"), source)
    started = time.perf_counter()
    status, evidence = "passed", Evidence()
    with tempfile.TemporaryDirectory(prefix="linden-proof-") as folder:
        try:
            if part.servers:
                prepare()
            run = Run(
                seed=part.seed,
                quick=quick,
                folder=Path(folder),
                progress=progress,
                ends_at=time.monotonic() + limit,
            )
            evidence = importlib.import_module(part.module).prove(run)
            if part.servers:
                evidence.figures["postgresql"] = _server_version()
        except Absent as reason:
            status, evidence = "skipped", Evidence(summary=str(reason))
        except Unfinished:
            status = "unfinished"
        except Exception as error:
            # The full text may hold a path; it goes to the log of this part only.
            traceback.print_exc()
            evidence.faults.append(f"{type(error).__name__} at {_place(error)}")
    if evidence.faults:
        status = "failed"
    return {
        "status": status,
        "summary": evidence.summary,
        "figures": evidence.figures,
        "faults": evidence.faults,
        "seconds": round(time.perf_counter() - started, 1),
    }


def prepare() -> None:
    """Set Django up and bring the empty database to the current schema."""
    import django

    django.setup()
    from bench.loader.world import migrate

    migrate()


def _server_version() -> str:
    from django.db import connection

    connection.ensure_connection()
    return str(connection.connection.info.parameter_status("server_version")).split()[0]


def main() -> int:
    options = _options()
    found = prove(
        options.name,
        quick=options.quick,
        result=options.result,
        source=options.source,
        limit=options.seconds,
    )
    options.result.write_text(json.dumps(found, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
