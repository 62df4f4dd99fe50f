"""What staff are told when a result that they were alarmed about changes."""

from collections.abc import Sequence
from datetime import datetime

from labs.models import Observation
from worklist.services import Fact, follow_up

_EARLY = frozenset({"registered", "preliminary"})
_EVIDENCE = ("observation", "observation-rising", "correction")
_TITLE = "A result changed after its item was closed: review today"


def tell_of_corrections(
    superseded: Sequence[Observation], current: Sequence[Observation], *, now: datetime
) -> None:
    """Tell at each item of a changed result what it was and what it is now.

    An open item stays open under its title, and whoever took it is asked to look again. When it
    was closed, somebody acted on the old number: another item is opened.
    """
    successor = {row.identity_key: row for row in current}
    facts = {}
    for old in superseded:
        new = successor.get(old.identity_key)
        withdrawn = new is None or new.withdrawn_at is not None
        is_now = "withdrawn" if new is None or withdrawn else _told(new)
        if is_now == _told(old):
            continue
        how = "changed" if old.status in _EARLY and not withdrawn else "corrected"
        facts[old.id] = Fact(
            kind="correction",
            reference=old.id if new is None else new.id,
            summary=f"{old.display_name[:60]} {how}: was {_told(old)}, now {is_now}"[:200],
            rule_id="" if new is None else new.rule_id,
            rule_version="" if new is None else new.rule_version,
        )
    if facts:
        follow_up(
            facts,
            kinds=_EVIDENCE,
            patient_id=superseded[0].patient_id,
            title=_TITLE,
            now=now,
        )


def _told(row: Observation) -> str:
    value = f"{row.value_text[:24]} {row.unit_text[:12]}".strip()
    return f"{value} ({row.state})"
