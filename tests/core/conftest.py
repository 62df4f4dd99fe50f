"""What is written to the log, in production's format."""

import io
import logging
from collections.abc import Callable, Iterator

import pytest

from portal.settings.logging import configure


@pytest.fixture
def logged() -> Iterator[Callable[[], str]]:
    """Return a function that gives every line logged so far, by us and by libraries."""
    made = configure(json=True)["formatters"]["structured"]
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    formatter = made.pop("()")
    handler.setFormatter(formatter(**made))
    root = logging.getLogger()
    root.addHandler(handler)
    yield stream.getvalue
    root.removeHandler(handler)
