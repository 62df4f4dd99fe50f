"""Why production does not start: everything that is missing or unsafe, named at once."""

import ipaddress
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qs, urlsplit

from cryptography.fernet import Fernet

REQUIRED = (
    "DJANGO_SECRET_KEY",
    "LINDEN_FIELD_KEYS",
    "LINDEN_HMAC_KEY",
    "DATABASE_URL",
    "REDIS_URL",
    "DJANGO_ALLOWED_HOSTS",
    "LINDEN_BASE_URL",
)
_MIN_SECRET = 50
_MIN_HMAC = 32
_MIN_DISTINCT = 12
_CHECKED_TLS = {"verify-ca", "verify-full"}


def problems(environ: Mapping[str, str]) -> list[str]:
    """Return what stops a start under `environ`; never the value of a secret."""
    missing = [name for name in REQUIRED if not environ.get(name, "").strip()]
    found = [f"{name} is missing" for name in missing]
    for check in (_secrets, _hosts, _servers):
        found.extend(problem for name, problem in check(environ) if name not in missing)
    if environ.get("DJANGO_DEBUG", "").lower() in {"1", "true", "yes", "on"}:
        found.append("DJANGO_DEBUG is on")
    return found


def internal_hosts(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the hosts of a closed network that may be reached without TLS."""
    named = environ.get("LINDEN_INTERNAL_HOSTS", "")
    return frozenset(host.strip() for host in named.split(",") if host.strip())


def _secrets(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    name = "DJANGO_SECRET_KEY"
    secret = environ.get(name, "")
    if secret.startswith("django-insecure-"):
        yield name, f"{name} is a default key (django-insecure-)"
    elif len(secret) < _MIN_SECRET or len(set(secret)) < _MIN_DISTINCT:
        yield name, f"{name} is too weak: {_MIN_SECRET} random characters at least"
    name = "LINDEN_HMAC_KEY"
    hmac_key = environ.get(name, "")
    if len(hmac_key) < _MIN_HMAC or len(set(hmac_key)) < _MIN_DISTINCT:
        yield name, f"{name} is too weak: {_MIN_HMAC} random characters at least"
    elif hmac_key == secret:
        yield name, f"{name} is the same as DJANGO_SECRET_KEY: one key for each purpose"
    name = "LINDEN_FIELD_KEYS"
    for key in environ.get(name, "").split(","):
        try:
            Fernet(key.strip())
        except ValueError:
            yield name, f"{name} holds something that is not a Fernet key"
            break


def _hosts(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    hosts = [host.strip() for host in environ.get("DJANGO_ALLOWED_HOSTS", "").split(",")]
    if any("*" in host for host in hosts):
        yield "DJANGO_ALLOWED_HOSTS", "DJANGO_ALLOWED_HOSTS allows any host (*)"
    base = urlsplit(environ.get("LINDEN_BASE_URL", ""))
    if base.scheme != "https" or not base.hostname:
        yield "LINDEN_BASE_URL", "LINDEN_BASE_URL is not an https address"


def _servers(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    inside = internal_hosts(environ)
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL"):
        url = urlsplit(environ.get(name, ""))
        mode = parse_qs(url.query).get("sslmode", [""])[0]
        if url.hostname and not _near(url.hostname, inside) and mode not in _CHECKED_TLS:
            yield name, f"{name} leaves this machine without sslmode=verify-full"
    url = urlsplit(environ.get("REDIS_URL", ""))
    if url.hostname and not _near(url.hostname, inside) and url.scheme != "rediss":
        yield "REDIS_URL", "REDIS_URL leaves this machine without TLS (rediss://)"
    if url.hostname and not url.password:
        yield "REDIS_URL", "REDIS_URL has no password"


def _near(host: str, inside: frozenset[str]) -> bool:
    if host in inside or host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
