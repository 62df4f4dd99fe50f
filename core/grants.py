"""Rights of the run-time role, renewed after every migration.

The owner migrates; the run-time role named in `DATABASES["default"]` reads and writes rows,
has no DDL, and can neither change nor delete rows of append-only models.
"""

from collections.abc import Callable
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db import connections

from core.models import BaseModel


def append_only_tables() -> list[str]:
    """Return the tables whose rows the run-time role may add but never change."""
    return sorted(
        model._meta.db_table
        for model in apps.get_models()
        if issubclass(model, BaseModel) and model.append_only
    )


def grant_run_time_role(*, using: str) -> None:
    """Give the run-time role its rights on every table of the public schema."""
    connection = connections[using]
    quote = connection.ops.quote_name
    role = quote(settings.DATABASES["default"]["USER"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        if cursor.fetchone()[0] == settings.DATABASES["default"]["USER"]:
            return
        cursor.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
        cursor.execute(
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
        )
        cursor.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
        cursor.execute(f"REVOKE ALL ON TABLE django_migrations FROM {role}")
        cursor.execute(f"GRANT SELECT ON TABLE django_migrations TO {role}")
        # After `migrate <app>` the tables of the other apps may not be there yet.
        existing = set(connection.introspection.table_names(cursor))
        for table in append_only_tables():
            if table not in existing:
                continue
            cursor.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON {quote(table)} FROM {role}")
        _keep_partitions_closed(cursor, role, quote)
        cursor.execute("SELECT to_regprocedure('audit_partition(date)')::text")
        if cursor.fetchone()[0] is not None:
            cursor.execute(f"GRANT EXECUTE ON FUNCTION audit_partition(date) TO {role}")


def _keep_partitions_closed(cursor: Any, role: str, quote: Callable[[str], str]) -> None:
    """Take the rights on partitions away: reached by their own name, no policy guards them."""
    cursor.execute(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace"
    )
    for (partition,) in cursor.fetchall():
        cursor.execute(f"REVOKE ALL ON TABLE {quote(partition)} FROM {role}")


def after_migrate(*, using: str, **_: Any) -> None:
    """Signal handler of `post_migrate` for the owner's alias."""
    if using == settings.OWNER_DATABASE:
        grant_run_time_role(using=using)
