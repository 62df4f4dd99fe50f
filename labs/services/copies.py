"""How often a person may take a copy of a record."""

from datetime import datetime, timedelta
from typing import Final

from django.db import connection

from core.audit import times_done
from patients.viewer import Viewer

COPIES_A_DAY: Final = 3
_DAY: Final = timedelta(days=1)


def may_take_copy(viewer: Viewer, operation: str, *, now: datetime) -> bool:
    """Say whether this person may take one more copy of this record now.

    Counted are those recorded in the last 24 hours. The next one asks when the transaction has
    ended in which this one is made and recorded, so that two at once are two.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"{operation}:{viewer.patient_id}:{viewer.user_id}"],
        )
    taken = times_done(viewer.patient_id, viewer.user_id, operation, since=now - _DAY)
    return taken < COPIES_A_DAY
