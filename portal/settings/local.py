"""`make run`: everything real, on loopback, without TLS."""

from portal.settings.base import *  # noqa: F403
from portal.settings.base import OAUTH2_PROVIDER, STORAGES
from portal.settings.logging import configure

DEMO_ALLOWED = True
LOGGING = configure(json=False)
# A client on this machine may listen on the loopback address (RFC 8252, section 7.3).
OAUTH2_PROVIDER = {
    **OAUTH2_PROVIDER,
    "ALLOWED_REDIRECT_URI_SCHEMES": ["http", "https", "org.linden.portal"],
}
# Collected anew at every start: plain copies are quick.
STORAGES = {
    **STORAGES,
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
