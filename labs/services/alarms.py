"""What staff must look at now: work items in the transaction that files the result."""

from datetime import datetime
from functools import lru_cache
from typing import cast
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.db.models import DateTimeField, Q, UUIDField

from clinical.flags import ReviewCode
from clinical.liver import WINDOW, LiverReading, possible_hys_law
from clinical.states import CRITICAL_STATES, RULE_VERSION, PortalState, direction_of
from clinical.symptom_rules import concern_of
from core.db import identity, system
from core.prepared import Given, Prepared
from labs.disclosure import looks_at, with_files
from labs.models import InboundMessage, Observation, SendingLaboratory
from labs.services.judging import JudgedLine
from labs.stored import value_of
from worklist.models import Urgency, WorkItem
from worklist.services import Fact, raise_item

_CALCIUM = "calcium"
_LIVER_ANALYTES = ("alt", "ast", "alp", "bilirubin_total")
_STARTS_HYS_LAW = frozenset({"alt", "ast", "bilirubin_total"})
_REVIEW_TODAY = frozenset({ReviewCode.OFF_SCALE_UNCONFIGURED.value})


def concern_of_result(analyte_key: str) -> str:
    """Return the clinical concern of an analyte; `results` for tests outside the catalogue."""
    try:
        return concern_of("analyte", analyte_key)
    except KeyError:
        return "results"


def _urgency(row: Observation, concern: str) -> Urgency | None:
    if row.staff_critical or row.state in CRITICAL_STATES:
        return Urgency.EMERGENCY
    states = [PortalState(s) for s in (row.state, row.computed_state, row.flag_state) if s]
    is_calcium = concern == _CALCIUM and row.analyte_key.startswith("calcium")
    if is_calcium and any(direction_of(state) == "high" for state in states):
        return Urgency.SAME_DAY
    return Urgency.SAME_DAY if _REVIEW_TODAY.intersection(row.review_codes) else None


def raise_for_results(
    rows: list[Observation], *, laboratory: SendingLaboratory, now: datetime
) -> None:
    """Raise or join a work item for each result that cannot wait.

    Critical by flag or by fallback limit: 15 minutes. Calcium above range, and off-scale flags
    whose meaning the laboratory has not confirmed: the same day.
    """
    for row in rows:
        concern = concern_of_result(row.analyte_key)
        urgency = _urgency(row, concern)
        if urgency is None:
            continue
        critical = urgency is Urgency.EMERGENCY
        raise_item(
            patient_id=row.patient_id,
            concern=concern,
            title=f"{'Critical result' if critical else 'Result to review today'}: "
            f"{row.display_name}"[:160],
            urgency=urgency,
            owner_team=WorkItem.Team.NURSE,
            organization_id=laboratory.organization_id,
            fact=Fact(
                kind="observation",
                reference=row.id,
                summary=f"{row.display_name}: {row.state}"[:200],
                rule_id=row.rule_id,
                rule_version=row.rule_version,
            ),
            now=now,
        )


def raise_for_queued(
    judged: JudgedLine,
    *,
    item_id: UUID,
    patient_id: UUID | None,
    message: InboundMessage,
    laboratory: SendingLaboratory,
    now: datetime,
) -> None:
    """A critical line that could not be filed is still told at once."""
    known = patient_id is not None
    raise_item(
        patient_id=patient_id,
        concern=concern_of_result(judged.analyte_key) if known else "intake.unmatched",
        title="Critical result that could not be filed"
        if known
        else "Critical result whose patient is not clear",
        urgency=Urgency.EMERGENCY,
        owner_team=WorkItem.Team.NURSE if known else WorkItem.Team.LABORATORY,
        organization_id=laboratory.organization_id,
        dedupe_key="" if known else str(message.id),
        fact=Fact(
            kind="intake-item",
            reference=item_id,
            summary=f"result {judged.line.obx_index} of the message"[:200],
            rule_id=judged.verdict.rule_id,
            rule_version=judged.verdict.rule_version,
        ),
        now=now,
    )


def _far_above(row: Observation) -> bool:
    """Say whether a value could be half of Hy's law at all: both halves begin at twice the ULN."""
    low, uln = row.value_low, row.range_high
    return low is not None and uln is not None and low >= 2 * uln


@lru_cache(maxsize=1)
def _liver_values() -> Prepared:
    """Her current liver values between two instants or in some reports."""
    return Prepared(
        Observation.objects.current().filter(
            Q(
                effective_at__gte=cast(datetime, Given("start", DateTimeField())),
                effective_at__lte=cast(datetime, Given("end", DateTimeField())),
            )
            | Q(report_id__any_of=Given("reports", ArrayField(UUIDField()))),
            patient_id=cast(UUID, Given("patient", UUIDField())),
            analyte_key__in=_LIVER_ANALYTES,
            origin=Observation.Origin.LABORATORY,
            comparable=True,
            withdrawn_at__isnull=True,
        )
    )


def raise_for_hys_law(
    rows: list[Observation], *, laboratory: SendingLaboratory, now: datetime
) -> None:
    """Raise "possible Hy's law" when new and stored liver values of seven days meet it."""
    touched = [row for row in rows if row.analyte_key in _STARTS_HYS_LAW]
    if not any(_far_above(row) for row in touched):
        return
    times = [row.effective_at for row in touched]
    nearby = _liver_values().objects(
        start=min(times) - WINDOW,
        end=max(times) + WINDOW,
        reports=list({row.report_id for row in touched}),
        patient=touched[0].patient_id,
    )
    found = possible_hys_law(
        [
            LiverReading(
                version_id=str(row.id),
                analyte_key=row.analyte_key,
                value=value_of(row),
                uln=row.range_high,
                collected_at=row.effective_at,
                report_id=str(row.report_id),
            )
            for row in nearby
        ]
    )
    new = {str(row.id) for row in touched}
    if found is None or not new & {found.transaminase, found.bilirubin}:
        return
    for version, name in ((found.transaminase, "ALT or AST"), (found.bilirubin, "Bilirubin")):
        raise_item(
            patient_id=touched[0].patient_id,
            concern="liver",
            title="Possible Hy's law: review today",
            urgency=Urgency.SAME_DAY,
            owner_team=WorkItem.Team.CLINICIAN,
            organization_id=laboratory.organization_id,
            fact=Fact(
                kind="observation",
                reference=UUID(version),
                summary=f"{name} far above range together (possible Hy's law)",
                rule_id="liver.hys_law",
                rule_version=RULE_VERSION,
            ),
            now=now,
        )


def raise_wrong_patient(
    withdrawn: list[Observation], *, laboratory: SendingLaboratory, now: datetime
) -> None:
    """Open a privacy incident for results posted to the wrong patient: who saw them."""
    if not withdrawn:
        return
    patient_id = withdrawn[0].patient_id
    ids = with_files([row.id for row in withdrawn], patient_id=patient_id)
    with identity(system("privacy-incident")):
        seen = looks_at(ids, patient_id=patient_id)
        viewers = {
            actor: kind for actor, kind in seen.values_list("actor_id", "actor_kind") if actor
        }
    facts = [
        Fact("observation", row.id, "posted to the wrong patient and withdrawn")
        for row in withdrawn
    ]
    facts += [Fact("viewer", actor_id, f"opened it ({kind})") for actor_id, kind in viewers.items()]
    for fact in facts:
        raise_item(
            patient_id=patient_id,
            concern="privacy",
            title="Wrong patient: a laboratory withdrew a result",
            urgency=Urgency.SAME_DAY,
            owner_team=WorkItem.Team.NURSE,
            organization_id=laboratory.organization_id,
            fact=fact,
            now=now,
        )
