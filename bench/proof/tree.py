"""The source files of this checkout: what a result is about, and what a mutant is planted in."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent.parent
_LEFT_OUT = frozenset({"var", "staticfiles", "node_modules", "__pycache__", "htmlcov"})
_NO_SOURCE = (Path("docs/proof.json"), Path("bench/results.json"))
_WORDS = {".md"}


def source_files(checkout: Path = CHECKOUT) -> Iterator[Path]:
    """Yield every file of the project, relative to `checkout`, sorted."""
    for folder, folders, files in os.walk(checkout):
        folders[:] = sorted(f for f in folders if f not in _LEFT_OUT and not f.startswith("."))
        for name in sorted(files):
            if not name.endswith(".pyc") and not name.startswith(".coverage"):
                yield (Path(folder) / name).relative_to(checkout)


def source_digest(checkout: Path = CHECKOUT) -> str:
    """Return 16 hex digits that change with any code, data or test of the project."""
    digest = hashlib.sha256()
    for path in source_files(checkout):
        if path in _NO_SOURCE or path.suffix in _WORDS:
            continue
        digest.update(str(path).encode() + b"\0")
        digest.update(hashlib.sha256((checkout / path).read_bytes()).digest())
    return digest.hexdigest()[:16]


def copy_source(target: Path, checkout: Path = CHECKOUT) -> None:
    """Copy the project to the new folder `target`."""
    for path in source_files(checkout):
        place = target / path
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(checkout / path, place)


def commit(checkout: Path = CHECKOUT) -> str:
    """Return the short name of the commit, with "+" when files differ from it; "" without git."""
    if shutil.which("git") is None or not (checkout / ".git").exists():
        return ""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", *words], cwd=checkout, capture_output=True, text=True, check=True
        ).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=normal")
    return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
