"""Who is asking, told to PostgreSQL: the wall behind the wall.

Every statement that touches patient data runs inside `identity(...)`, which opens the
transaction and sets the variables that the row-security policies read. Session-level SET
is never used, so a reused connection starts with nobody's identity.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from django.db import connections, transaction

from core.areas import SYSTEM_PURPOSES
from core.prepared import prepared_cursor

Kind = Literal["patient", "proxy", "staff", "machine", "system"]

_SET = (
    "SELECT set_config('app.kind', %s, true), set_config('app.user', %s, true), "
    "set_config('app.patient', %s, true), set_config('app.areas', %s, true), "
    "set_config('app.sender', %s, true)"
)
_NOBODY = ("", "", "", "", "")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who acts, as row security sees it.

    `patient_id` is the one patient a patient or proxy acts for; staff and system have None.
    `areas` are the areas this identity may use at all. `sender` is a laboratory's key.
    """

    kind: Kind
    user_id: UUID | None = None
    patient_id: UUID | None = None
    areas: frozenset[str] = frozenset()
    sender: str = ""
    purpose: str = ""

    def variables(self) -> tuple[str, str, str, str, str]:
        return (
            self.kind,
            str(self.user_id or ""),
            str(self.patient_id or ""),
            ",".join(sorted(self.areas)),
            self.sender,
        )


_current: ContextVar[Identity | None] = ContextVar("linden_identity", default=None)


def system(purpose: str) -> Identity:
    """Return the identity of background work for an allow-listed `purpose`.

    Raises: KeyError when the purpose is not in `core.areas.SYSTEM_PURPOSES`.
    """
    return Identity(kind="system", areas=frozenset(SYSTEM_PURPOSES[purpose]), purpose=purpose)


def current_identity() -> Identity | None:
    """Return the identity in force, or None outside `identity(...)`."""
    return _current.get()


def _tell(variables: tuple[str, str, str, str, str], using: str) -> None:
    with prepared_cursor(using) as cursor:
        cursor.execute(_SET, variables)


@contextmanager
def identity(who: Identity, *, using: str = "default", durable: bool = False) -> Iterator[Identity]:
    """Run the block in one transaction as `who`.

    Outermost, the transaction ends with the block. Nested, the block is a savepoint, and the
    outer identity is restored afterwards (by the roll-back when the block raises).
    `durable` blocks must be outermost: what they wrote is committed when they end.
    Raises: RuntimeError when a durable block is nested.
    """
    nested = connections[using].in_atomic_block
    outer = _current.get()
    with transaction.atomic(using=using, durable=durable):
        _tell(who.variables(), using)
        token = _current.set(who)
        try:
            yield who
        finally:
            _current.reset(token)
        if nested and not connections[using].needs_rollback:
            _tell(outer.variables() if outer else _NOBODY, using)
