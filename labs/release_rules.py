"""When a result becomes visible: the rules as data, and the pure decision.

The default is at once. A rule may delay one class of results, or one test, where law or a site's
approved policy says so. Delays run from the moment the result was final: either in elapsed hours
(Kentucky: 72 hours) or until a local hour of the n-th local day (Texas: not before the third day).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from clinical.report_kinds import ReportKind, kind_of
from clinical.symptom_rules import concern_of

IMMEDIATE: Final = "immediate-1"
"""Results are released as soon as they are filed; early ones only where the site says so."""

_IN_WORDS = frozenset({ReportKind.PATHOLOGY, ReportKind.IMAGING, ReportKind.PROCEDURE})
# HL7 table 0074: laws that delay pathology name genetic markers beside it.
_GENETICS = frozenset({"CG", "GE"})


class ResultClass(StrEnum):
    """What a rule and a patient's wish speak of."""

    LABS = "labs"
    TUMOUR_MARKERS = "tumour_markers"
    PATHOLOGY_AND_SCANS = "pathology_and_scans"


class Timing(StrEnum):
    ELAPSED_HOURS = "elapsed_hours"
    LOCAL_DAY = "local_day"


def result_class(*, category: str, report_loinc: str, analyte_key: str) -> ResultClass:
    """Return the class of one result: by its report's section and code, then by its test."""
    if kind_of(category, report_loinc) in _IN_WORDS or category in _GENETICS:
        return ResultClass.PATHOLOGY_AND_SCANS
    return ResultClass.TUMOUR_MARKERS if _is_marker(analyte_key) else ResultClass.LABS


def _is_marker(analyte_key: str) -> bool:
    try:
        return concern_of("analyte", analyte_key) == "markers"
    except KeyError:
        return False


@dataclass(frozen=True, slots=True)
class Rule:
    """One approved rule. Exactly one of `result_class`, `analyte_key` and `loinc` is given.

    `amount` counts hours or local days; `at` is the local hour of a LOCAL_DAY. `zone` (IANA) is
    the organization's; the days it holds for are counted there, `valid_until` excluded.
    `one_laboratory`: made for this sender rather than for the whole organization.
    """

    name: str
    version: int
    timing: Timing
    amount: int
    zone: str
    valid_from: date
    valid_until: date | None = None
    at: time = time(0)
    result_class: str = ""
    analyte_key: str = ""
    loinc: str = ""
    one_laboratory: bool = False

    @property
    def label(self) -> str:
        return f"{self.name}-{self.version}"

    def in_force(self, now: datetime) -> bool:
        """Say whether the rule holds on the local day of `now`."""
        today = now.astimezone(ZoneInfo(self.zone)).date()
        return self.valid_from <= today and (self.valid_until is None or today < self.valid_until)

    def due(self, final_at: datetime) -> datetime:
        """Return the first instant (UTC) at which a result final at `final_at` may be seen.

        A local hour that a change of clocks skips comes later by what is skipped (02:30 is 03:30);
        one that comes twice is the earlier.
        """
        if self.timing is Timing.ELAPSED_HOURS:
            return final_at.astimezone(UTC) + timedelta(hours=self.amount)
        zone = ZoneInfo(self.zone)
        day = final_at.astimezone(zone).date() + timedelta(days=self.amount)
        return datetime.combine(day, self.at, zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Finished:
    """What a rule looks at. `issued_at`: when the laboratory says that it was final."""

    result_class: ResultClass
    analyte_key: str
    loinc: str
    issued_at: datetime | None


@dataclass(frozen=True, slots=True)
class Decision:
    visible_from: datetime
    rule_version: str


def decide(rules: Iterable[Rule], result: Finished, *, now: datetime) -> Decision:
    """Return from when `result` is visible and which rule says so; never before `now`.

    The most specific rule in force wins: one test before a class, one laboratory before an
    organization, then the one that began last. A time of issue that lies ahead counts as `now`.
    """
    fitting = [rule for rule in rules if rule.in_force(now) and _fits(rule, result)]
    if not fitting:
        return Decision(now, IMMEDIATE)
    rule = max(fitting, key=_rank)
    final_at = min(result.issued_at or now, now)
    return Decision(max(now, rule.due(final_at)), rule.label)


def _fits(rule: Rule, result: Finished) -> bool:
    if rule.loinc:
        return rule.loinc == result.loinc
    if rule.analyte_key:
        return rule.analyte_key == result.analyte_key
    return rule.result_class == result.result_class


def _rank(rule: Rule) -> tuple[object, ...]:
    specific = 2 if rule.loinc else 1 if rule.analyte_key else 0
    return specific, rule.one_laboratory, rule.valid_from, rule.version, rule.name
