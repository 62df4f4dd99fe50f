"""`check --deploy` fails while a row that decides about emergencies is unconfirmed."""

from typing import Any

from django.core.checks import CheckMessage, Error, register

from clinical.symptom_rules import red_flags


@register("clinical", deploy=True)
def red_flags_are_confirmed(**_: Any) -> list[CheckMessage]:
    """Name the red flags that no clinician has confirmed."""
    open_rows = [key for key, flag in red_flags().items() if not flag.clinician_confirmed_by]
    if not open_rows:
        return []
    return [
        Error(
            f"{len(open_rows)} red flags are not confirmed by a clinician: {', '.join(open_rows)}.",
            hint="Fill clinician_confirmed_by in clinical/data/red_flags.csv after a review.",
            id="symptoms.E001",
        )
    ]
