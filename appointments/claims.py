"""Claim time: one statement, decided by the exclusion constraints (DECISIONS 22).

The statement sees that the site is open, ends expired holds in the way, picks a free place for
each need, claims the places in (resource, start) order and then the patient's own time. Somebody
else's open transaction on the very same time is waited for; other times never wait. Fewer rows
than asked for means lost, and the savepoint undoes what was claimed.
"""

import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import OperationalError, transaction

from appointments.supplies import Place
from core.errors import DomainError
from core.ids import uuid7
from core.prepared import prepared_cursor

MAX_RETRIES = 3
_DEADLOCK_OR_SERIALIZATION = {"40P01", "40001"}
# A wait for the same time that outlasts the role's limits is lost, like any other wait.
_WAITED_TOO_LONG = {"55P03", "57014"}

_CLAIM = """
WITH freed AS MATERIALIZED (
  SELECT end_expired_holds(%(resources)s::uuid[], tstzrange(%(from)s, %(until)s), %(now)s) AS n
  WHERE site_is_open(%(site)s::uuid, %(visit_from)s, %(visit_until)s)
), chosen AS (
  SELECT DISTINCT ON (place.need) place.need, place.resource_id, place.lane
  FROM unnest(%(needs)s::int[], %(resources)s::uuid[], %(lanes)s::int[])
    WITH ORDINALITY AS place(need, resource_id, lane, rank)
  WHERE NOT EXISTS (
    SELECT 1 FROM appointments_resourceclaim c
    WHERE c.resource_id = place.resource_id AND c.lane = place.lane AND c.active
      AND c.during && tstzrange(%(from)s, %(until)s)
      AND (c.expires_at IS NULL OR c.expires_at > %(now)s))
  ORDER BY place.need, place.rank
), claimed AS (
  INSERT INTO appointments_resourceclaim
    (id, resource_id, lane, during, kind, active, expires_at, held_for, made_at)
  SELECT (%(ids)s::uuid[])[need + 1], resource_id, lane, tstzrange(%(from)s, %(until)s),
    %(kind)s, true, %(expires_at)s::timestamptz, %(held_for)s, %(now)s
  FROM chosen
  WHERE (SELECT n FROM freed) >= 0 AND (SELECT count(*) FROM chosen) = %(wanted)s
  ORDER BY resource_id, lane
  ON CONFLICT DO NOTHING RETURNING 1
), hers AS (
  INSERT INTO appointments_patientclaim (id, patient_id, appointment_id, during, active)
  SELECT %(patient_claim)s, %(patient)s, %(held_for)s,
    tstzrange(%(visit_from)s, %(visit_until)s), true
  WHERE %(patient)s::uuid IS NOT NULL AND (SELECT count(*) FROM claimed) = %(wanted)s
  ON CONFLICT DO NOTHING RETURNING 1
)
SELECT (SELECT count(*) FROM chosen), (SELECT count(*) FROM claimed), (SELECT count(*) FROM hers)
"""


# A hold becomes a booking in place, if it is still somebody's: nobody else can come between.
_TAKE_OVER = """
WITH kept AS (
  UPDATE appointments_resourceclaim
  SET kind = 'booking', expires_at = NULL, held_for = %(held_for)s
  WHERE held_for = %(hold)s AND kind = 'hold' AND active AND expires_at > %(now)s
  RETURNING 1
), hers AS (
  INSERT INTO appointments_patientclaim (id, patient_id, appointment_id, during, active)
  SELECT %(patient_claim)s, %(patient)s, %(held_for)s,
    tstzrange(%(visit_from)s, %(visit_until)s), true
  WHERE EXISTS (SELECT 1 FROM kept)
  ON CONFLICT DO NOTHING RETURNING 1
)
SELECT (SELECT count(*) FROM kept), (SELECT count(*) FROM hers)
"""
# The time that a visit gives up while it is moved.
_LET_GO = """
WITH freed AS (
  UPDATE appointments_resourceclaim SET active = false, ended_at = %(now)s
  WHERE held_for = %(visit)s AND active RETURNING 1
), hers AS (
  UPDATE appointments_patientclaim SET active = false
  WHERE patient_id = %(patient)s AND appointment_id = %(visit)s AND active RETURNING 1
)
SELECT (SELECT count(*) FROM freed), (SELECT count(*) FROM hers)
"""


class TimeTaken(DomainError):
    """Somebody else has the time, or is just taking it."""

    code = "slot-taken"
    title = "This time has just been taken."


class PatientBusy(DomainError):
    """She has another visit then."""

    code = "patient-overlap"
    title = "There is another visit at this time already."


class _Lost(Exception):
    """Undoes the savepoint of an attempt."""

    def __init__(self, *, chosen: int, claimed: int) -> None:
        super().__init__()
        self.chosen, self.claimed = chosen, claimed


def _sqlstate(error: OperationalError) -> str:
    return getattr(error.__cause__, "sqlstate", None) or ""


def claim(
    *,
    pools: Sequence[Sequence[Place]],
    starts_at: datetime,
    ends_at: datetime,
    kind: str,
    held_for: UUID,
    now: datetime,
    patient_id: UUID | None = None,
    buffer_before: timedelta = timedelta(0),
    buffer_after: timedelta = timedelta(0),
    expires_at: datetime | None = None,
    moving: bool = False,
    site: UUID | None = None,
) -> None:
    """Claim one place of each pool with its buffers, and the patient's own time without.

    The places of a pool are tried in the order given. Runs in the caller's transaction.
    `expires_at` is for holds. `moving`: what `held_for` has now is given up in the same
    attempt, so it is kept when the new time is lost. `site` is the location of a visit or hold,
    which stays as it is, open or closed, until the caller's transaction ends.
    Raises: TimeTaken, PatientBusy; then nothing was claimed or given up.
    """
    places = [(need, place) for need, pool in enumerate(pools) for place in pool]
    values: dict[str, Any] = {
        "needs": [need for need, _ in places],
        "resources": [place.resource_id for _, place in places],
        "lanes": [place.lane for _, place in places],
        "ids": [uuid7(now) for _ in pools],
        "patient_claim": uuid7(now),
        "wanted": len(pools),
        "from": starts_at - buffer_before,
        "until": ends_at + buffer_after,
        "visit_from": starts_at,
        "visit_until": ends_at,
        "kind": kind,
        "expires_at": expires_at,
        "held_for": held_for,
        "patient": patient_id,
        "site": site,
        "now": now,
    }
    if moving:
        values["visit"] = held_for
    # Losing one of several places leaves the others: at most as many attempts as places.
    for _ in range(len(places) + 1):
        try:
            without_deadlock(lambda: _attempt(values, for_patient=patient_id is not None))
            return
        except _Lost as lost:
            if lost.claimed == len(pools):
                raise PatientBusy() from None
            if lost.chosen < len(pools) or len(places) == len(pools):
                raise TimeTaken() from None
    raise TimeTaken()


def take_over(
    *,
    hold_id: UUID,
    held_for: UUID,
    patient_id: UUID,
    starts_at: datetime,
    ends_at: datetime,
    now: datetime,
    moving: bool = False,
) -> None:
    """Turn what a live hold claims into the booking `held_for`, and claim the patient's time.

    `moving` as in `claim`. Raises: TimeTaken when the hold is no longer live, PatientBusy;
    then nothing has changed.
    """
    values: dict[str, Any] = {
        "hold": hold_id,
        "held_for": held_for,
        "patient": patient_id,
        "patient_claim": uuid7(now),
        "visit_from": starts_at,
        "visit_until": ends_at,
        "now": now,
    }
    if moving:
        values["visit"] = held_for

    def attempt() -> None:
        with prepared_cursor() as cursor:
            _let_go(cursor, values)
            cursor.execute(_TAKE_OVER, values)
            kept, hers = cursor.fetchone()
        if not hers:
            raise _Lost(chosen=kept, claimed=kept)

    try:
        without_deadlock(attempt)
    except _Lost as lost:
        raise (PatientBusy if lost.claimed else TimeTaken)() from None


def without_deadlock(attempt: Callable[[], None]) -> None:
    """Run `attempt` in a savepoint, again after a deadlock. Raises: TimeTaken."""
    failures = 0
    while True:
        try:
            with transaction.atomic():
                attempt()
            return
        except OperationalError as error:
            state = _sqlstate(error)
            if state in _DEADLOCK_OR_SERIALIZATION and failures < MAX_RETRIES:
                failures += 1
                time.sleep(random.uniform(0.002, 0.02) * failures)  # noqa: S311
            elif state in _DEADLOCK_OR_SERIALIZATION | _WAITED_TOO_LONG:
                raise TimeTaken() from error
            else:
                raise


def _let_go(cursor: Any, values: dict[str, Any]) -> None:
    """Give up the time of the visit that is moved, if one is."""
    if "visit" not in values:
        return
    cursor.execute(_LET_GO, values)
    if 0 in cursor.fetchone():
        raise RuntimeError("a visit without its claims cannot be moved")


def _attempt(values: dict[str, Any], *, for_patient: bool) -> None:
    with prepared_cursor() as cursor:
        _let_go(cursor, values)
        cursor.execute(_CLAIM, values)
        chosen, claimed, hers = cursor.fetchone()
    if claimed < values["wanted"] or (for_patient and not hers):
        raise _Lost(chosen=chosen, claimed=claimed)
