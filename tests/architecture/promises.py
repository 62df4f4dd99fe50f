"""docs/promises.tsv as rows, and whether a test that it names is one."""

import ast
import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "promises.tsv"
COLUMNS = ("id", "tier", "status", "test", "proof", "promise")


@dataclass(frozen=True)
class Promise:
    """One promise. `tests` are node ids; `proof` a part of `make proof` that shows it at size."""

    id: str
    tier: str
    status: str
    tests: tuple[str, ...]
    proof: str
    words: str


@cache
def promises() -> tuple[Promise, ...]:
    with TABLE.open(encoding="utf-8", newline="") as handle:
        rows = csv.DictReader(handle, delimiter="\t", quoting=csv.QUOTE_NONE)
        assert tuple(rows.fieldnames or ()) == COLUMNS
        return tuple(
            Promise(
                id=row["id"],
                tier=row["tier"],
                status=row["status"],
                tests=tuple(row["test"].split()),
                proof=row["proof"],
                words=row["promise"],
            )
            for row in rows
        )


def is_collected(node: str) -> bool:
    """Whether pytest would collect `node`: a file, or a function or class member in it.

    Read from the source, so that it is known without collecting everything.
    """
    file, *names = node.split("[", 1)[0].split("::")
    path = ROOT / file
    if not path.is_file() or not path.name.startswith("test_") or path.parts[-1][-3:] != ".py":
        return False
    body: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
    for name in names:
        if not name.startswith(("test_", "Test")):
            return False
        found = [item for item in body if getattr(item, "name", None) == name]
        if len(found) != 1 or not isinstance(found[0], (ast.FunctionDef, ast.ClassDef)):
            return False
        body = found[0].body
    return True
