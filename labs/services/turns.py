"""One writer at a time in one patient's results: filing, holding, releasing."""

from uuid import UUID

from core.prepared import prepared_cursor


def take_turn(patient_id: UUID) -> None:
    """Wait for the turn; the lock ends with the transaction."""
    with prepared_cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [_key(patient_id)])


def try_turn(patient_id: UUID) -> bool:
    """Take the turn if nobody has it now; say whether it was taken."""
    with prepared_cursor() as cursor:
        cursor.execute(
            "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [_key(patient_id)]
        )
        return bool(cursor.fetchone()[0])


def _key(patient_id: UUID) -> str:
    return f"labs:{patient_id}"
