"""Row security binds no superuser, no owner and no BYPASSRLS role: production refuses them."""

from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

_ROLE = (
    "SELECT r.rolsuper, r.rolbypassrls, r.rolcreaterole, "
    "EXISTS (SELECT 1 FROM pg_class c WHERE c.relowner = r.oid AND c.relkind IN ('r', 'p')), "
    "has_schema_privilege(r.oid, 'public', 'CREATE') "
    "FROM pg_roles r WHERE r.rolname = current_user"
)
_FAULTS = (
    "is a superuser",
    "bypasses row security",
    "may make roles",
    "owns tables",
    "may create tables",
)


def faults_of_role(connection: Any) -> list[str]:
    """Return why the role of `connection` must not serve; empty means it may."""
    with connection.cursor() as cursor:
        cursor.execute(_ROLE)
        row = cursor.fetchone()
    return [words for is_so, words in zip(row, _FAULTS, strict=True) if is_so]


def refuse_unsafe_role(*, connection: Any, **_: Any) -> None:
    """Receiver of `connection_created`: the first connection of a bad role is the last.

    Raises: ImproperlyConfigured.
    """
    if connection.alias != "default" or not getattr(settings, "REFUSE_UNSAFE_DATABASE_ROLE", False):
        return
    faults = faults_of_role(connection)
    if faults:
        connection.close()
        raise ImproperlyConfigured(f"The role of DATABASE_URL {', '.join(faults)}.")


@register(Tags.database)
def check_database_role(
    app_configs: Any = None, databases: Sequence[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """`check --database default`: the same, as a system check."""
    if "default" not in (databases or []):
        return []
    return [
        Error(f"The role of DATABASE_URL {words}.", id="portal.E001")
        for words in faults_of_role(connections["default"])
    ]
