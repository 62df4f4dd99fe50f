"""Ticks of the project itself."""

from datetime import timedelta

from celery import shared_task
from django.db import connection

from core import events
from core.api import idempotency
from core.clock import utc_now
from core.db import identity, system


@shared_task(name="portal.deliver_events")
def deliver_events() -> int:
    """Hand due events to their subscribers."""
    return events.deliver_due(now=utc_now(), limit=200)


@shared_task(name="portal.housekeeping")
def housekeeping() -> int:
    """Make next month's audit partition and forget answers kept for idempotency."""
    now = utc_now()
    with identity(system("housekeeping")):
        with connection.cursor() as cursor:
            for month in (now.date(), (now + timedelta(days=31)).date()):
                cursor.execute("SELECT audit_partition(%s)", [month])
        return idempotency.prune(now=now)
