"""Visits and what can be booked, as staff see them."""

from appointments.admin import booking, feeds, supply, waitlist

__all__ = ["booking", "feeds", "supply", "waitlist"]
