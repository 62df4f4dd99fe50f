"""Files stay readable."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 500
SKIPPED = {".venv", "var", "migrations", "staticfiles", "node_modules", ".git"}


def sources() -> list[Path]:
    return [path for path in ROOT.rglob("*.py") if not SKIPPED & set(path.relative_to(ROOT).parts)]


def test_no_file_is_longer_than_500_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in sources()
        if (count := path.read_text().count("\n")) > LIMIT
    }
    assert long == {}


@pytest.mark.parametrize("word", ["print(", "breakpoint("])
def test_serving_code_does_not_print(word: str) -> None:
    apps = ("accounts", "core", "patients", "labs", "appointments", "symptoms", "notifications",
            "worklist", "clinical")  # fmt: skip
    found = [
        str(path.relative_to(ROOT))
        for app in apps
        for path in (ROOT / app).rglob("*.py")
        if any(line.strip().startswith(word) for line in path.read_text().splitlines())
    ]
    assert found == []
