"""Queries use the run-time role; only the owner migrates."""

from typing import Any

from django.conf import settings


class OwnerMigrates:
    """Allow migrations on the owner's connection alone."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == settings.OWNER_DATABASE

    def allow_relation(self, obj1: Any, obj2: Any, **hints: Any) -> bool:
        return True
