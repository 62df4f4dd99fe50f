"""Ticks of the ledger."""

from celery import shared_task

from core.clock import utc_now
from notifications import services


@shared_task(name="notifications.drain")
def drain() -> int:
    """Send what is due, stuck and stale rows settled first; return how many rows were sent."""
    return services.drain(now=utc_now(), limit=200).sent
