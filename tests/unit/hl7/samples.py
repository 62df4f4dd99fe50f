"""Where the shared sample messages lie; they are not part of this repository."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[3]
SAMPLES = Path(os.environ.get("LINDEN_SAMPLES", REPOSITORY.parent / "shared" / "samples"))
HL7V2 = SAMPLES / "hl7v2"
GOLDEN = REPOSITORY / "tests" / "golden"

needs_samples = pytest.mark.skipif(
    not HL7V2.is_dir(), reason=f"sample messages absent: no folder {HL7V2}"
)


def sample_files() -> list[Path]:
    if not HL7V2.is_dir():
        return []
    return sorted(path for path in HL7V2.iterdir() if path.suffix in {".hl7", ".bin"})


def noise_files() -> list[Path]:
    return sorted((SAMPLES / "gen").glob("*.hl7"))


def golden_rows() -> Iterator[dict[str, str]]:
    with (GOLDEN / "dispositions.csv").open(encoding="utf-8", newline="") as handle:
        yield from csv.DictReader(handle)
