"""Column types of the laboratory tables."""

from typing import Any

from django.db import models


class ExactNumberField(models.DecimalField):  # type: ignore[type-arg]
    """A laboratory number with the scale it was sent with: PostgreSQL `numeric`, never rounded."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 60)
        kwargs.setdefault("decimal_places", 30)
        super().__init__(*args, **kwargs)

    def db_type(self, connection: Any) -> str:
        return "numeric"
