"""Propose what results say about tumour markers, and tell when a decided one was corrected."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from clinical.biomarkers import RULE_VERSION, read_marker
from clinical.her2 import her2_of
from clinical.markers import Finding, Kind, Marker, MarkerResult, loincs_of, marker_of
from clinical.specimens import SEVERAL, sampled
from labs.models import BiomarkerProposal, Observation, SendingLaboratory
from labs.stored import value_of
from labs.trends import FINAL
from worklist.models import Urgency, WorkItem
from worklist.services import Fact, raise_item

Decision = BiomarkerProposal.Decision
_CODED = frozenset({"CE", "CWE", "CNE", "CF"})
_PARTS_OF_HER2 = frozenset({Kind.HER2_IHC, Kind.HER2_ISH})


def specimen_words(row: Observation) -> str:
    """Return what was sampled, from where, and its number, as far as the laboratory said so."""
    words = sampled(row.specimen_type, row.body_site)
    return " ".join(filter(None, (words, row.specimen)))[:200]


def propose(rows: Iterable[Observation], *, zone: ZoneInfo, now: datetime) -> None:
    """Insert a proposal for each new finished result that tests a marker.

    No statement for other results. A stain and a hybridisation of HER2 on one specimen are one
    proposal, also when they come in two messages.
    """
    finished = [row for row in rows if _finished(row)]
    tests = {row.id: marker_of(row.loinc, row.code_text) for row in finished}
    of_markers = [row for row in finished if tests[row.id] is not None]
    if not of_markers:
        return
    partners = _her2_partners(
        [row for row in of_markers if (t := tests[row.id]) and t.kind in _PARTS_OF_HER2]
    )
    made: list[BiomarkerProposal] = []
    combined: set[UUID] = set()
    for row in of_markers:
        if row.id in combined:
            continue
        finding, rests_on = read_marker(marker_result(row)), [row.id]
        partner = partners.get(row.id)
        if partner is not None and finding is not None:
            other = read_marker(marker_result(partner))
            assert other is not None
            stain_first = finding.kind is Kind.HER2_IHC
            finding = her2_of(finding, other) if stain_first else her2_of(other, finding)
            rests_on.append(partner.id)
            combined.add(partner.id)
        if finding is not None:
            made.append(_proposal(row, finding, rests_on, zone=zone, now=now))
    if combined:
        _replace_open(
            BiomarkerProposal.objects.filter(observation_id__in=combined).values_list(
                "id", flat=True
            ),
            now=now,
        )
    BiomarkerProposal.objects.bulk_create(made)


def _finished(row: Observation) -> bool:
    return row.status in FINAL and row.superseded_at is None and row.withdrawn_at is None


def marker_result(row: Observation) -> MarkerResult:
    """Return a stored result as the rules read it. A coded value was stored code^text^system."""
    text, codes = row.value_text, tuple[str, ...]()
    if row.value_type.upper() in _CODED and "^" in text:
        parts = text.split("^")
        codes = tuple(part for part in (parts[0], *parts[3:4]) if part)
        text = next((part for part in (*parts[1:2], *parts[4:5]) if part), "")
    return MarkerResult(
        loinc=row.loinc,
        name=f"{row.code_text} {row.alt_text}",
        text=text,
        codes=codes,
        number=value_of(row).interval,
        unit=row.unit_ucum or row.unit_text,
        method=row.method,
        is_final=_finished(row),
    )


def _her2_partners(rows: list[Observation]) -> dict[UUID, Observation]:
    """Return, for each stain or hybridisation, the other test of its specimen; one statement.

    Only where the report holds exactly one of each on one specimen: otherwise nobody can say
    which belongs to which.
    """
    if not rows:
        return {}
    stored = Observation.objects.current().filter(
        patient_id__in={row.patient_id for row in rows},
        report_id__in={row.report_id for row in rows},
        loinc__in=loincs_of(Marker.HER2),
        withdrawn_at__isnull=True,
        status__in=FINAL,
    )
    by_specimen: dict[tuple[object, ...], dict[Kind, list[Observation]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in stored:
        test = marker_of(row.loinc)
        if test is not None and SEVERAL not in f"{row.specimen_type}{row.body_site}":
            tested = (row.report_id, row.specimen, row.specimen_type, row.body_site)
            by_specimen[tested][test.kind].append(row)
    partners: dict[UUID, Observation] = {}
    for kinds in by_specimen.values():
        stains, hybridised = kinds[Kind.HER2_IHC], kinds[Kind.HER2_ISH]
        if len(stains) == len(hybridised) == 1:
            partners[stains[0].id], partners[hybridised[0].id] = hybridised[0], stains[0]
    return partners


def _proposal(
    row: Observation,
    finding: Finding,
    rests_on: list[UUID],
    *,
    zone: ZoneInfo,
    now: datetime,
) -> BiomarkerProposal:
    assert row.report_id is not None  # only what a patient entered has none
    return BiomarkerProposal(
        patient_id=row.patient_id,
        report_id=row.report_id,
        observation=row,
        rests_on=rests_on,
        marker=finding.marker.value,
        reading=finding.reading.value if finding.reading else "",
        unread=finding.unread.value if finding.unread else "",
        source_text=finding.source_text,
        detail=finding.detail[:120],
        rule_version=RULE_VERSION,
        specimen=specimen_words(row),
        collected_on=row.effective_at.astimezone(zone).date(),
        proposed_at=now,
    )


def _replace_open(ids: Iterable[UUID], *, now: datetime) -> None:
    BiomarkerProposal.objects.filter(id__in=list(ids), decision=Decision.OPEN).update(
        decision=Decision.REPLACED, decided_at=now
    )


def question_facts(
    gone: Iterable[Observation], *, laboratory: SendingLaboratory, now: datetime
) -> None:
    """Take open proposals about versions that no longer count away, and ask about decided ones.

    A fact of the profile stays until a clinician decides; a work item says what it rests on.
    """
    rows = list(gone)
    if not rows:
        return
    touched = BiomarkerProposal.objects.filter(
        patient_id__in={row.patient_id for row in rows},
        rests_on__overlap=[row.id for row in rows],
    ).select_related("fact")
    proposals = list(touched)
    open_ids = [one.id for one in proposals if one.decision == Decision.OPEN]
    if open_ids:
        _replace_open(open_ids, now=now)
    for one in proposals:
        if one.fact is None or one.fact.superseded_at is not None:
            continue
        raise_item(
            patient_id=one.patient_id,
            concern="profile.evidence",
            title=f"A fact of the profile rests on a corrected report: {one.marker}",
            urgency=Urgency.WITHIN_24H,
            owner_team=WorkItem.Team.CLINICIAN,
            organization_id=laboratory.organization_id,
            dedupe_key=str(one.fact.id),
            fact=Fact(
                kind="profile-fact",
                reference=one.fact.id,
                summary=f"{one.marker}: the result behind it was corrected or withdrawn",
                rule_id="profile-evidence",
                rule_version=RULE_VERSION,
            ),
            now=now,
        )
