"""Secrets of one system: made once, kept in `var/secrets.env`, readable by its owner only."""

import base64
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from runner.errors import RunnerError

FILE_NAME = "secrets.env"


def _token() -> str:
    return secrets.token_urlsafe(48)


def _password() -> str:
    return secrets.token_hex(24)


def _fernet_key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


@dataclass(frozen=True)
class Credentials:
    """Keys of the application and passwords of its servers."""

    django_secret_key: str
    field_keys: str
    hmac_key: str
    admin_password: str
    owner_password: str
    app_password: str
    valkey_password: str


_NAMES: dict[str, tuple[str, Callable[[], str]]] = {
    "django_secret_key": ("DJANGO_SECRET_KEY", _token),
    "field_keys": ("LINDEN_FIELD_KEYS", _fernet_key),
    "hmac_key": ("LINDEN_HMAC_KEY", _token),
    "admin_password": ("LINDEN_DB_ADMIN_PASSWORD", _password),
    "owner_password": ("LINDEN_DB_OWNER_PASSWORD", _password),
    "app_password": ("LINDEN_DB_APP_PASSWORD", _password),
    "valkey_password": ("LINDEN_VALKEY_PASSWORD", _password),
}


def new_credentials() -> Credentials:
    """Return fresh secrets that are written nowhere."""
    return Credentials(**{field.name: _NAMES[field.name][1]() for field in fields(Credentials)})


def _read(path: Path) -> dict[str, str]:
    pairs = (line.partition("=") for line in path.read_text().splitlines() if "=" in line)
    return {name: value for name, _, value in pairs}


def load_or_create(var: Path) -> Credentials:
    """Return the secrets kept in `var`, made on the first call.

    Raises: RunnerError when the file is gone but the data it protects is there.
    """
    path = var / FILE_NAME
    kept: dict[str, str] = {}
    if path.exists():
        kept = _read(path)
    elif (var / "servers" / "postgres").exists():
        raise RunnerError(
            f"{path} is missing, and without it the data in {var / 'servers'} cannot be read. "
            "Put it back, or delete the data with `make erase`."
        )
    values = {field: kept.get(name) or make() for field, (name, make) in _NAMES.items()}
    text = "".join(f"{name}={values[field]}\n" for field, (name, _) in _NAMES.items())
    if not path.exists() or path.read_text() != text:
        staging = path.with_suffix(".new")
        descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        staging.replace(path)
    return Credentials(**values)
