"""Ticks of appointments."""

from celery import shared_task

from appointments.services.offering import offer_openings as offer
from core.clock import utc_now


@shared_task(name="appointments.offer_openings")
def offer_openings() -> int:
    """Offer what is free to who waits for it; return how many were asked."""
    return offer(now=utc_now()).offered
