"""Ticks of check-ins."""

from celery import shared_task

from core.clock import utc_now
from symptoms import services


@shared_task(name="symptoms.plan_check_ins")
def plan_check_ins() -> int:
    """Ask everybody whose hour has come; return how many were asked."""
    return services.plan_check_ins(now=utc_now()).planned
