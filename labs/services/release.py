"""When a patient may see a result."""

from dataclasses import dataclass
from datetime import datetime

from clinical.result_status import Shown
from clinical.states import PortalState
from labs.models import Observation, SendingLaboratory
from labs.services.judging import JudgedLine

DEFAULT_RULE = "immediate-1"
"""Results are released as soon as they are filed; early ones only where the site says so."""

_NEVER = frozenset({PortalState.HELD, PortalState.RETRACTED})


@dataclass(frozen=True, slots=True)
class Release:
    visible_from: datetime | None
    basis: str
    rule_version: str


NOT_RELEASED = Release(None, Observation.ReleaseBasis.NONE, "")


def release_of(judged: JudgedLine, laboratory: SendingLaboratory, *, now: datetime) -> Release:
    """Return when and why `judged` becomes visible; never for held and withdrawn results."""
    shown = judged.status.shown is Shown.YES or (
        judged.status.shown is Shown.POLICY and laboratory.shows_preliminary
    )
    if not shown or judged.verdict.state in _NEVER:
        return NOT_RELEASED
    return Release(now, Observation.ReleaseBasis.RULE, DEFAULT_RULE)
