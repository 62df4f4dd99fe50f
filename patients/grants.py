"""What a grant gives at an instant, as a column."""

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db.models import DateTimeField, F, Func, TextField, Value
from django.db.models.functions import Cast


def scopes_at(at: datetime) -> Func:
    """Return the scopes of a CaregiverGrant at `at`; a guardian's follow the patient's age."""
    return Func(
        F("basis"),
        Cast("scopes", ArrayField(TextField())),
        F("patient__birth_date"),
        F("patient__zone"),
        Value(at, DateTimeField()),
        function="allowed_scopes",
        output_field=ArrayField(TextField()),
    )
