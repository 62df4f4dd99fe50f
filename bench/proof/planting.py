"""Planted bugs: patches in tests/mutants/, each with the test that has to notice it."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.proof.tree import CHECKOUT

MUTANTS = CHECKOUT / "tests" / "mutants"
_HEAD = re.compile(r"^(Bug|Promise|Test): (.+)$", re.MULTILINE)


class MutantUnusable(Exception):
    """A patch has no usable head, or does not fit the source any more."""


@dataclass(frozen=True)
class Mutant:
    """One planted bug. `tests` are pytest node ids; `promise` is an id of docs/promises.tsv."""

    patch: Path
    bug: str
    promise: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.patch.stem


def read_mutant(patch: Path) -> Mutant:
    """Read the lines before the patch itself. Raises: MutantUnusable."""
    head = patch.read_text().partition("\ndiff --git ")[0]
    words: dict[str, list[str]] = {}
    for name, text in _HEAD.findall(head):
        words.setdefault(name, []).append(text.strip())
    if len(words.get("Bug", [])) != 1 or len(words.get("Promise", [])) != 1 or "Test" not in words:
        raise MutantUnusable(f"{patch.name} needs one Bug, one Promise and a Test line")
    return Mutant(patch, words["Bug"][0], words["Promise"][0], tuple(words["Test"]))


def mutants(folder: Path = MUTANTS) -> list[Mutant]:
    return [read_mutant(patch) for patch in sorted(folder.glob("*.patch"))]


def apply_patch(mutant: Mutant, tree: Path, *, how: Sequence[str] = ()) -> None:
    """Apply the patch to the files in `tree`; `how` are further options of git apply.

    Raises: MutantUnusable when it does not fit.
    """
    # The tree is looked at as plain files, whatever repository lies around it.
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.resolve().parent)}
    done = subprocess.run(
        ["git", "apply", "--whitespace=nowarn", *how, str(mutant.patch)],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise MutantUnusable(f"{mutant.name} does not fit the source: make the patch anew")
