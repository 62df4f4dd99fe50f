"""The shipped articles, imported once a test into a library that starts empty."""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from pathlib import Path

import pytest

from education import library, services
from education.upstream import ContentFile, read_content

CONTENT = Path(__file__).parents[2] / "education" / "content"
_shipped = cache(lambda: read_content(CONTENT))


Folder = Callable[..., Path]


@pytest.fixture(autouse=True)
def empty_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees what another one published."""
    monkeypatch.setattr(library, "_holder", library._Holder())


@pytest.fixture
def imported(db: None, now: datetime, monkeypatch: pytest.MonkeyPatch) -> services.ImportSummary:
    """The shipped articles, published. The files are read and checked once for all tests."""
    with monkeypatch.context() as patch:
        patch.setattr(services, "read_content", lambda directory: _shipped())
        return services.import_content(directory=CONTENT, now=now)


@pytest.fixture
def shipped() -> list[ContentFile]:
    return _shipped()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Write a content folder: `folder(en_brain_mets=text)` makes en/brain-mets.md."""

    def write(**texts: str) -> Path:
        for name, text in texts.items():
            language, _, slug = name.partition("_")
            path = tmp_path / language / f"{slug.replace('_', '-')}.md"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write
