"""How lists of results and reports are narrowed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from clinical.panels import OTHER, panels


@dataclass(frozen=True, slots=True)
class ResultFilter:
    """How a list of results is narrowed; empty means everything."""

    analytes: tuple[str, ...] = ()
    panels: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    collected_from: datetime | None = None
    collected_until: datetime | None = None


EVERYTHING = ResultFilter()


@dataclass(frozen=True, slots=True)
class ReportFilter:
    """How a list of reports is narrowed; `new` = only what this viewer has not opened."""

    new: bool = False
    panels: tuple[str, ...] = ()
    collected_from: datetime | None = None
    collected_until: datetime | None = None


ALL_REPORTS = ReportFilter()


def in_panels(keys: Sequence[str]) -> Q:
    """Return the condition "is in one of these groups"; `OTHER` holds what no group names."""
    chosen = [panel for panel in panels() if panel.key in keys]
    condition = Q(analyte_key__in=[key for panel in chosen for key in panel.analyte_keys])
    if OTHER in keys:
        condition |= ~Q(analyte_key__in=[key for panel in panels() for key in panel.analyte_keys])
    return condition
