"""What a part is given, and what it hands back."""

import json
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Absent(Exception):
    """Something the part needs is not on this machine. A proof that leaves a part out fails."""


class Unfinished(Exception):
    """The time of this slice is over; what is done is kept, and the next slice goes on."""


@dataclass
class Evidence:
    """What a part saw. No fault means that its promises held.

    `figures` are numbers, words and lists of them; `faults` are whole sentences. Both are
    published: no host, no path, nothing about a person.
    """

    summary: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def expect(self, holds: bool, fault: str) -> None:
        """Note `fault` unless `holds`."""
        if not holds:
            self.faults.append(fault)

    def expect_equal(self, found: object, wanted: object, what: str) -> None:
        """Note what was found instead unless it is `wanted`."""
        self.expect(found == wanted, f"{what}: {found} instead of {wanted}")


class Progress:
    """Steps of one part that are done, kept in a file so that a stopped run can go on."""

    def __init__(self, file: Path, source: str) -> None:
        self._file = file
        self._source = source
        self._done: dict[str, Any] = {}
        if file.exists():
            kept = json.loads(file.read_text())
            if kept["source"] == source:
                self._done = kept["done"]

    def get(self, step: str) -> Any:
        """Return what `step` gave, None when it has to run."""
        return self._done.get(step)

    def put(self, step: str, result: Any) -> None:
        self._done[step] = result
        self._file.write_text(json.dumps({"source": self._source, "done": self._done}, indent=1))


@dataclass(frozen=True)
class Run:
    """One run of one part. `folder` is empty at the start and deleted afterwards.

    `ends_at` on the monotonic clock is when the run will be stopped.
    """

    seed: int
    quick: bool
    folder: Path
    progress: Progress
    ends_at: float

    def chance(self, purpose: str = "") -> random.Random:
        """Return a source of numbers that depends on the seed and `purpose` only."""
        return random.Random(f"{self.seed}:{purpose}")

    def size(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def needs(self, seconds: float) -> None:
        """Raises: Unfinished when there is less time left than the next step may take."""
        if time.monotonic() + seconds > self.ends_at:
            raise Unfinished

    def say(self, words: str) -> None:
        print(words, flush=True)
