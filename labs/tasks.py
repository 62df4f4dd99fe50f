"""Ticks of the laboratory part."""

from celery import shared_task

from core.clock import utc_now
from labs.services import intake


@shared_task(name="labs.sweep_intake")
def sweep_intake() -> int:
    """File accepted messages that a crash or a failure left behind."""
    return intake.sweep(now=utc_now())
