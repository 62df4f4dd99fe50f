"""Asked just before a result notice leaves: may she read it, and does she want to be told now?"""

from datetime import datetime

from labs.services.result_notices import (
    GONE,
    LOOK_AGAIN,
    MERGED,
    still_news,
    told_by_another,
)
from labs.services.telling import NOT_WANTED, NotWanted, not_yet
from notifications.models import Notification
from notifications.rechecks import Skip, Wait


def recheck_result_notice(row: Notification, now: datetime) -> Skip | Wait | None:
    """Return None when what it is about may be read and told of now, Wait until then, or Skip.

    What was taken back or withheld meanwhile is not announced: the notice itself would tell that
    it exists. Its release brings a notice of its own.
    """
    report = still_news(row, now=now)
    if report is None:
        return Skip(GONE)
    try:
        until = not_yet(row, report, now=now)
    except NotWanted:
        return Skip(NOT_WANTED)
    if until:
        return Wait(until)
    if other := told_by_another(row, now=now):
        return Skip(f"{MERGED}:{other.id}") if other.surely else Wait(now + LOOK_AGAIN)
    return None
