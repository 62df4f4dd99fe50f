"""Production: every secret from the environment, and no start without one that is safe."""

import os

from django.core.exceptions import ImproperlyConfigured

from portal.settings.refusals import problems

if found := problems(os.environ):
    raise ImproperlyConfigured("Linden does not start: " + "; ".join(found) + ".")

from portal.settings.base import *  # noqa: F403
from portal.settings.base import ALLOWED_HOSTS, CONTENT_SECURITY_POLICY, env
from portal.settings.logging import configure

DEMO_ALLOWED = False
LOGGING = configure(json=True)
# Keys that signed before a rotation: they verify, they never sign.
SECRET_KEY_FALLBACKS: list[str] = env.list("DJANGO_SECRET_KEY_FALLBACKS", default=[])
# The health checks of a container ask its own loopback address.
ALLOWED_HOSTS = [*ALLOWED_HOSTS, "127.0.0.1"]
REFUSE_UNSAFE_DATABASE_ROLE = True

SECURE_SSL_REDIRECT = True
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True
# Believed only where a proxy of ours sets it and drops what clients send.
if env.bool("LINDEN_BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    ALLAUTH_TRUSTED_PROXY_COUNT = 1

SESSION_COOKIE_NAME = "__Host-sid"
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_NAME = "__Host-csrf"
CSRF_COOKIE_SECURE = True
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {**CONTENT_SECURITY_POLICY["DIRECTIVES"], "upgrade-insecure-requests": True}
}
