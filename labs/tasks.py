"""Ticks of the laboratory part."""

from celery import shared_task

from core.clock import utc_now
from labs.services import intake, releasing


@shared_task(name="labs.sweep_intake")
def sweep_intake() -> int:
    """File accepted messages that a crash or a failure left behind."""
    return intake.sweep(now=utc_now())


@shared_task(name="labs.announce_released")
def announce_released() -> int:
    """Tell of results whose time came, and remind staff of holds that end."""
    now = utc_now()
    releasing.remind_of_backstops(now=now)
    return releasing.announce_due(now=now)
