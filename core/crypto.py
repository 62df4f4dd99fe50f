"""Encryption of stored text and bytes, and keyed digests for look-up.

Keys come from settings: `FIELD_KEYS` (Fernet keys, newest first; older ones still decrypt)
and `HMAC_KEY`.
"""

import hmac
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.db import models


@lru_cache(maxsize=4)
def _box(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def encrypt(plain: bytes) -> bytes:
    """Return `plain` encrypted and authenticated under the newest key."""
    return _box(tuple(settings.FIELD_KEYS)).encrypt(plain)


def decrypt(token: bytes) -> bytes:
    """Return the plain bytes. Raises cryptography.fernet.InvalidToken when altered."""
    return _box(tuple(settings.FIELD_KEYS)).decrypt(token)


def keyed_digest(purpose: str, *parts: str) -> str:
    """Return a hex HMAC-SHA-256 of `parts`, separate for each `purpose`."""
    message = "\x1f".join((purpose, *parts)).encode()
    return hmac.digest(settings.HMAC_KEY.encode(), message, "sha256").hex()


class EncryptedBinaryField(models.BinaryField):
    """Bytes that are encrypted at rest; Python sees them plain."""

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if value is not None and not prepared:
            value = encrypt(bytes(value))
        return super().get_db_prep_value(value, connection, prepared)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> bytes | None:
        return None if value is None else decrypt(bytes(value))
