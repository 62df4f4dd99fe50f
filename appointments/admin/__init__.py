"""Visits and what can be booked, as staff see them."""

from appointments.admin import booking, supply

__all__ = ["booking", "supply"]
