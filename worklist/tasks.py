"""Ticks of the worklist."""

from celery import shared_task

from core.clock import utc_now
from worklist import services


@shared_task(name="worklist.escalate")
def escalate() -> int:
    """Move items that nobody took in time one step up."""
    return services.escalate_due(now=utc_now())
