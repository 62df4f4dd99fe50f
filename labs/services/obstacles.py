"""Keep why a total calcium was not corrected for albumin."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, cast
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db.models import DateTimeField, UUIDField

from clinical.calcium import METHOD
from core.prepared import Given, Prepared, PreparedUpdate, insert
from labs.models import DerivedObstacle

NO_ALBUMIN: Final = "no_albumin"
BETTER_MEASURED: Final = "better_measured"
"""Reasons beside `clinical.calcium.Obstacle`: nothing stands in the way, there is no need."""


@dataclass(frozen=True, slots=True)
class NotWorkedOut:
    """Why, most telling first, and the results that the reasons speak of."""

    obstacles: tuple[str, ...]
    inputs: tuple[UUID, ...]


@lru_cache(maxsize=1)
def _stored() -> Prepared:
    return Prepared(
        DerivedObstacle.objects.filter(
            patient_id=cast(UUID, Given("patient", UUIDField())),
            calcium_id__any_of=Given("calciums", ArrayField(UUIDField())),
            superseded_at__isnull=True,
        )
    )


@lru_cache(maxsize=1)
def _supersede() -> PreparedUpdate:
    return PreparedUpdate(
        DerivedObstacle.objects.filter(id__any_of=Given("rows", ArrayField(UUIDField()))),
        superseded_at=Given("now", DateTimeField()),
    )


def record_obstacles(
    found: Mapping[UUID, NotWorkedOut | None], *, patient_id: UUID, now: datetime
) -> None:
    """Keep the reason of each total calcium (by its id); None = it was corrected.

    Up to three statements, whatever the number; what is unchanged is left alone.
    """
    stored = {
        row.calcium_id: row for row in _stored().objects(patient=patient_id, calciums=list(found))
    }
    changed = {
        calcium: reason
        for calcium, reason in found.items()
        if reason != (_kept(stored[calcium]) if calcium in stored else None)
    }
    outdated = [stored[calcium].id for calcium in changed if calcium in stored]
    if outdated:
        _supersede().run(rows=outdated, now=now)
    new = [
        DerivedObstacle(
            patient_id=patient_id,
            calcium_id=calcium,
            method=METHOD,
            obstacles=list(reason.obstacles),
            inputs=list(reason.inputs),
            found_at=now,
        )
        for calcium, reason in changed.items()
        if reason is not None
    ]
    insert(*new)


def _kept(row: DerivedObstacle) -> NotWorkedOut:
    return NotWorkedOut(tuple(row.obstacles), tuple(row.inputs))
