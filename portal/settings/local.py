"""`make run`: everything real, on loopback, without TLS."""

from portal.settings.base import *  # noqa: F403
from portal.settings.logging import configure

DEMO_ALLOWED = True
LOGGING = configure(json=False)
