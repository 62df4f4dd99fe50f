"""`make bench`: load, measure, print one table, write bench/results.json."""

import argparse
import os
import platform
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import django

RESULTS = Path(__file__).resolve().parent / "results.json"
FIGURES = RESULTS.parent.parent / "docs" / "figures.md"
PACKAGES = ("django", "djangorestframework", "psycopg", "granian", "orjson")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="reduced counts, a few minutes")
    parser.add_argument("--only", default="", help="rows whose key contains this; writes nothing")
    parser.add_argument(
        "--memory", action="store_true", help="also 20,000 messages through one listener"
    )
    parser.add_argument(
        "--write-docs", action="store_true", help="only write docs/figures.md from the last run"
    )
    return parser.parse_args()


def _write_docs() -> int:
    import json

    from bench.figures import to_markdown

    FIGURES.write_text(to_markdown(json.loads(RESULTS.read_text())))
    print(f"wrote {FIGURES.relative_to(RESULTS.parent.parent)}")
    return 0


def _say(words: str) -> None:
    print(f"bench: {words}", file=sys.stderr, flush=True)


def main() -> int:
    options = _options()
    if options.write_docs:
        return _write_docs()
    if sys.platform != "linux":
        print("bench reads processor time from /proc, which only Linux has", file=sys.stderr)
        return 2
    if "DATABASE_OWNER_URL" not in os.environ:
        print("run it as `make bench`: it needs servers of its own", file=sys.stderr)
        return 2
    os.environ["DJANGO_SETTINGS_MODULE"] = "bench.settings"
    django.setup()
    from bench.figures import summary, table_cells, text_table, to_json
    from bench.free_time import curve_cells

    results = _run(quick=options.quick, only=options.only, memory=options.memory)
    print(text_table(table_cells(results)))
    print()
    print(summary(results))
    if results["free_time"]:
        print(f"\nFree time alone:\n{text_table(curve_cells(results['free_time']))}")
    if not options.only:
        RESULTS.write_text(to_json(results))
    return 1 if results["wrong"] else 0


def _run(*, quick: bool, only: str, memory: bool) -> dict[str, Any]:
    from bench import intake, measure, race
    from bench.loader import world as loading
    from bench.session import Session

    started, load_before = time.perf_counter(), os.getloadavg()[0]
    _say("migrating")
    loading.migrate()
    size = loading.QUICK if quick else loading.FULL
    _say(f"loading {size.results:,} results")
    world = loading.load(size, now=datetime.now(UTC), owner_url=os.environ["DATABASE_OWNER_URL"])
    _say(f"loaded {world.rows:,} rows in {world.seconds:.0f} s")
    with tempfile.TemporaryDirectory(prefix="linden-bench-") as folder:
        session = Session(
            world,
            pace=measure.QUICK if quick else measure.FULL,
            race_size=race.QUICK if quick else race.FULL,
            intake_size=replace(
                intake.QUICK if quick else intake.FULL, memory=intake.MEMORY if memory else 0
            ),
            folder=Path(folder),
            say=_say,
        )
        measured = session.run(only)
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "quick": quick,
        "seconds": round(time.perf_counter() - started, 1),
        "cores": os.cpu_count(),
        "load_before": round(load_before, 2),
        "versions": {
            "Python": platform.python_version(),
            "PostgreSQL": world.server_version,
            **{name: version(name) for name in PACKAGES},
        },
        "data": world.as_json(),
        **measured,
    }


if __name__ == "__main__":
    sys.exit(main())
