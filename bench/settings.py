"""Settings of the measured server: those that every set-up shares, logging as in production."""

from portal.settings.base import *  # noqa: F403
from portal.settings.logging import configure

LOGGING = configure(json=True)
