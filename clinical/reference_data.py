"""Read the reference tables of `clinical/data/`.

Public: `rows(name)`, `decimal_or_none(text)`, `words(text)`.
"""

import csv
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from importlib.resources import files
from types import MappingProxyType

Row = Mapping[str, str]


@cache
def rows(name: str) -> tuple[Row, ...]:
    """Return every row of `data/<name>.csv`, columns by header name, text as written.

    Raises: FileNotFoundError when there is no such table.
    """
    text = files("clinical").joinpath("data", f"{name}.csv").read_text(encoding="utf-8")
    return tuple(MappingProxyType(row) for row in csv.DictReader(text.splitlines()))


def decimal_or_none(text: str) -> Decimal | None:
    """Return the number written in a table cell, None for an empty cell."""
    return Decimal(text) if text else None


def words(text: str, separator: str = ";") -> tuple[str, ...]:
    """Return the non-empty parts of a cell that holds a list."""
    return tuple(part.strip() for part in text.split(separator) if part.strip())
