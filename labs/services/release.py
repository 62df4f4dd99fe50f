"""When a patient may see a result: rules, holds, and what was decided before."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, cast
from uuid import UUID

from django.db.models import DateTimeField, F, Q, UUIDField

from clinical.result_status import Shown
from clinical.states import PortalState
from core.prepared import Given, Prepared
from labs.hl7.codes import choose_loinc
from labs.models import Observation, ReleaseHold, ReleaseRule, SendingLaboratory
from labs.release_rules import Finished, Rule, Timing, decide, result_class
from labs.services.judging import JudgedLine

HOLD_RULE: Final = "hold-1"
"""A held result is visible from its backstop on; with several holds, from the last one."""

_NEVER = frozenset({PortalState.HELD, PortalState.RETRACTED})


@dataclass(frozen=True, slots=True)
class Release:
    """From when, why, by which rule and, for a person's decision, by whom."""

    visible_from: datetime | None
    basis: str
    rule_version: str
    released_by_id: UUID | None = None

    def announced_at(self, now: datetime) -> datetime | None:
        """Return `now` when the filing itself tells of it; None leaves that to the tick."""
        return now if self.visible_from is not None and self.visible_from <= now else None


NOT_RELEASED = Release(None, Observation.ReleaseBasis.NONE, "")


def release_columns(row: Observation) -> Release:
    """Return the release that a stored version has."""
    return Release(
        row.visible_from, row.release_basis, row.release_rule_version, row.released_by_id
    )


@dataclass(frozen=True, slots=True)
class ReleaseTerms:
    """What decides about new results of one patient, loaded once a message."""

    laboratory: SendingLaboratory
    rules: tuple[Rule, ...]
    holds: tuple[ReleaseHold, ...]
    tell_of_delay: bool = False

    def release_of(
        self,
        judged: JudgedLine,
        *,
        report_id: UUID,
        identity_key: str,
        replaces: Observation | None,
        now: datetime,
    ) -> Release:
        """Return when and why `judged` becomes visible; never for held and withdrawn results.

        A correction follows what it corrects: at once where she could see that, at its time where
        that waits. A hold moves either to its backstop.
        """
        status = judged.status.shown
        shown = status is Shown.YES or (
            status is Shown.POLICY and self.laboratory.shows_preliminary
        )
        if not shown or judged.verdict.state in _NEVER:
            return NOT_RELEASED
        release = self._by_rule(judged, now) if replaces is None else _following(replaces, now)
        release = release or self._by_rule(judged, now)
        return later_of(release, backstop_of(self.holds, report_id, identity_key))

    def _by_rule(self, judged: JudgedLine, now: datetime) -> Release:
        code = choose_loinc(judged.report.code)
        finished = Finished(
            result_class=result_class(
                category=judged.report.category,
                report_loinc=code.code if code else "",
                analyte_key=judged.analyte_key,
            ),
            analyte_key=judged.analyte_key,
            loinc=judged.loinc,
            issued_at=judged.report.result_at.instant,
        )
        decision = decide(self.rules, finished, now=now)
        return Release(decision.visible_from, Observation.ReleaseBasis.RULE, decision.rule_version)


def _following(replaced: Observation, now: datetime) -> Release | None:
    if replaced.visible_from is None:
        return None
    return Release(
        max(replaced.visible_from, now),
        replaced.release_basis,
        replaced.release_rule_version,
        replaced.released_by_id,
    )


@lru_cache(maxsize=1)
def _rules() -> Prepared:
    return Prepared(
        ReleaseRule.objects.annotate(zone=F("organization__zone")).filter(
            Q(laboratory_id__isnull=True)
            | Q(laboratory_id=cast(UUID, Given("laboratory", UUIDField()))),
            organization_id=cast(UUID, Given("organization", UUIDField())),
            approved_at__isnull=False,
        )
    )


def load_terms(laboratory: SendingLaboratory, *, patient_id: UUID, now: datetime) -> ReleaseTerms:
    """Return the approved rules of a laboratory and the holds on a patient: two statements."""
    rules = _approved_rules(laboratory)
    holds = tuple(active_holds(patient_id, now=now))
    return ReleaseTerms(
        laboratory,
        tuple(_rule(row) for row in rules),
        holds,
        tell_of_delay=any(rule.tells_of_delay for rule in rules)
        or any(hold.tells_of_delay for hold in holds),
    )


def _approved_rules(laboratory: SendingLaboratory) -> list[Any]:
    """Return the rules of its clinic and its own, each with the `zone` of the clinic."""
    return _rules().objects(laboratory=laboratory.id, organization=laboratory.organization_id)


def as_without_hold(row: Observation) -> Release:
    """Return the release that the rules gave a result when it came, whatever held it since.

    A correction follows the version that came first, by the rules of that day.
    """
    first = (
        Observation.objects.select_related("report", "laboratory")
        .filter(patient_id=row.patient_id, identity_key=row.identity_key)
        .order_by("version")[0]
    )
    assert first.report is not None
    assert first.laboratory is not None
    rules = [
        rule for rule in _approved_rules(first.laboratory) if rule.approved_at <= first.filed_at
    ]
    finished = Finished(
        result_class=result_class(
            category=first.report.category,
            report_loinc=first.report.loinc,
            analyte_key=first.analyte_key,
        ),
        analyte_key=first.analyte_key,
        loinc=first.loinc,
        issued_at=first.issued_at,
    )
    decision = decide([_rule(rule) for rule in rules], finished, now=first.filed_at)
    return Release(decision.visible_from, Observation.ReleaseBasis.RULE, decision.rule_version)


def _rule(row: Any) -> Rule:
    return Rule(
        name=row.name,
        version=row.version,
        timing=Timing(row.timing),
        amount=row.amount,
        zone=row.zone,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        at=row.at_time,
        result_class=row.result_class,
        analyte_key=row.analyte_key,
        loinc=row.loinc,
        one_laboratory=row.laboratory_id is not None,
    )


@lru_cache(maxsize=1)
def _holds() -> Prepared:
    return Prepared(
        ReleaseHold.objects.filter(
            patient_id=cast(UUID, Given("patient", UUIDField())),
            lifted_at__isnull=True,
            backstop_at__gt=cast(datetime, Given("now", DateTimeField())),
        )
    )


def active_holds(patient_id: UUID, *, now: datetime) -> list[ReleaseHold]:
    """Return the holds on a patient's results that nobody lifted and whose time is not over."""
    return _holds().objects(patient=patient_id, now=now)


def covers(hold: ReleaseHold, report_id: UUID | None, identity_key: str) -> bool:
    """Say whether a hold is about this result."""
    if hold.identity_key:
        return hold.identity_key == identity_key
    return hold.report_id == report_id


def backstop_of(
    holds: Iterable[ReleaseHold], report_id: UUID | None, identity_key: str
) -> datetime | None:
    """Return the last backstop among the holds on a result, None when nothing holds it."""
    found = [hold.backstop_at for hold in holds if covers(hold, report_id, identity_key)]
    return max(found, default=None)


def later_of(release: Release, backstop: datetime | None) -> Release:
    """Return `release`, moved to the backstop of a hold where that is later."""
    if release.visible_from is None or backstop is None or release.visible_from >= backstop:
        return release
    return Release(backstop, Observation.ReleaseBasis.BACKSTOP, HOLD_RULE)
