"""Visits and what can be booked, as staff see them."""

from appointments.admin import booking, feeds, plans, requests, supply, tickets, waitlist

__all__ = ["booking", "feeds", "plans", "requests", "supply", "tickets", "waitlist"]
