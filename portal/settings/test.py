"""Tests: the same engines, throw-away data. Never reads an .env file."""

from portal.settings.base import *  # noqa: F403
from portal.settings.base import DATABASES, OAUTH2_PROVIDER, OWNER_DATABASE
from portal.settings.logging import configure

DEMO_ALLOWED = True
# One test database: the owner creates, migrates and cleans it; the run-time role uses it.
DATABASES["default"]["TEST"] = {"MIRROR": OWNER_DATABASE}
LOGGING = configure(json=True)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# Cheap on purpose: tests sign in often; production keeps Django's Argon2 cost.
PASSWORD_HASHERS = ["tests.hashers.CheapArgon2PasswordHasher"]
# Static files straight from the apps: nothing is collected for a test run.
WHITENOISE_AUTOREFRESH = True
WHITENOISE_USE_FINDERS = True
OAUTH2_PROVIDER = {
    **OAUTH2_PROVIDER,
    "ALLOWED_REDIRECT_URI_SCHEMES": ["http", "https", "org.linden.portal"],
}
