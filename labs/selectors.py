"""What a viewer may read of results. Every function starts from the viewer.

A result is seen when it was released (`visible_from <= now`), is current and was not taken back.
Row security says the same once more for patients and caregivers; staff see every current version.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

from django.db.models import (
    Case,
    CharField,
    Count,
    DateTimeField,
    Exists,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
    UUIDField,
    When,
)
from django.db.models.functions import Cast, Coalesce, JSONObject

from core.api.paging import Page, after, decode_cursor, keyset_page, page_of
from core.db import Kind
from core.errors import NotFound
from core.models import Attachment
from core.prepared import Given, Prepared
from labs.document_reading import documents_as_json, documents_of_results
from labs.filters import ALL_REPORTS, EVERYTHING, ReportFilter, ResultFilter, in_panels
from labs.models import DiagnosticReport, Document, Observation, ReportSeen
from labs.reviews import (
    comments_of_report,
    comments_of_result,
    obstacle_of_result,
    review_of_report,
    review_of_result,
)
from labs.series_background import (
    baseline_column,
    method_family,
    sex_column,
    treatments_column,
    unit_family,
)
from labs.trends import FINAL
from patients.care_frame import care_frame_column
from patients.viewer import Viewer

# The columns a result needs to be shown; a list page is one statement of these.
RESULT_COLUMNS = (
    "id", "report_id", "version", "origin", "analyte_key", "loinc", "display_name", "value_text",
    "value_kind", "value_low", "value_high", "comparator", "unit_text", "unit_ucum", "range_text",
    "flags", "status", "effective_at", "issued_at", "visible_from", "lab_comment", "state", "tier",
    "rule_id", "rule_version", "basis", "reason", "range_used_low", "range_used_high",
    "derived_method", "derived_from", "comparable", "performer", "filed_by_id", "specimen_type",
    "body_site",
)  # fmt: skip
_SHOWN_NEVER = ("HELD", "RETRACTED")


def observations_for(viewer: Viewer, *, now: datetime) -> QuerySet[Observation]:
    """Return the current results that `viewer` may read now."""
    results = Observation.objects.current().filter(withdrawn_at__isnull=True)
    record = _one_record(viewer)
    if record is None:
        return results
    return results.filter(
        patient_id=record, visible_from__isnull=False, visible_from__lte=now
    ).exclude(state__in=_SHOWN_NEVER)


def reports_for(viewer: Viewer, *, now: datetime) -> QuerySet[DiagnosticReport]:
    """Return the reports that `viewer` may read now."""
    reports = DiagnosticReport.objects.all()
    record = _one_record(viewer)
    if record is None:
        return reports
    return reports.filter(patient_id=record, visible_from__isnull=False, visible_from__lte=now)


def _one_record(viewer: Viewer) -> UUID | None:
    """Return whose released results a patient or caregiver reads; None for staff."""
    if viewer.kind not in ("patient", "proxy"):
        return None
    assert viewer.patient_id is not None
    return viewer.patient_id


def _reader(viewer: Viewer) -> UUID:
    assert viewer.user_id is not None
    return viewer.user_id


def _json_text(**fields: Any) -> Cast:
    """Return several columns as one JSON text; whoever shows the row reads it."""
    return Cast(JSONObject(**fields), TextField())


def _with_previous(
    results: QuerySet[Observation], viewer: Viewer, now: datetime
) -> QuerySet[Observation]:
    """Add the result before each one on its line of the trend, as JSON or null.

    The lines are those of `clinical.trend`: one method, units that convert exactly. A limit is
    on the line too. The number travels as text, for JSON has no exact decimals.
    """
    before = (
        observations_for(viewer, now=now)
        .filter(
            patient_id=OuterRef("patient_id"),
            analyte_key=OuterRef("analyte_key"),
            effective_at__lt=OuterRef("effective_at"),
            comparable=True,
            value_kind__in=("numeric", "interval"),
            status__in=FINAL,
        )
        .exclude(analyte_key="")
        .exclude(unit_ucum="")
        .alias(family=method_family(F("loinc")), units=unit_family(F("unit_dimension")))
        .filter(
            family=method_family(OuterRef("loinc")), units=unit_family(OuterRef("unit_dimension"))
        )
        .order_by("-effective_at", "-id")
        .values(
            was=_json_text(
                number=Cast("value_low", TextField()),
                kind=F("value_kind"),
                text=F("value_text"),
                unit=F("unit_text"),
                ucum=F("unit_ucum"),
                at=F("effective_at"),
            )
        )
    )
    return results.annotate(previous=Subquery(before[:1]))


def _with_earlier_version(results: QuerySet[Observation]) -> QuerySet[Observation]:
    """Add what a corrected result said before, in the last final version that she could see."""
    earlier = (
        Observation.objects.filter(
            patient_id=OuterRef("patient_id"),
            identity_key=OuterRef("identity_key"),
            version__lt=OuterRef("version"),
            status__in=FINAL,
            withdrawn_at__isnull=True,
            visible_from__isnull=False,
            visible_from__lte=F("superseded_at"),
        )
        .order_by("-version")
        .values(was=_json_text(text=F("value_text"), unit=F("unit_text"), filed=F("filed_at")))
    )
    return results.annotate(was=Subquery(earlier[:1]))


def _as_rows(
    results: QuerySet[Observation], viewer: Viewer, now: datetime
) -> QuerySet[Any, dict[str, Any]]:
    """Return results as dicts; about one patient, each with her care frame in `care`."""
    opened = ReportSeen.objects.filter(
        patient_id=OuterRef("patient_id"),
        user_id=_reader(viewer),
        report_id=OuterRef("report_id"),
        seen_at__gte=OuterRef("visible_from"),
    )
    shown: QuerySet[Any] = _with_earlier_version(_with_previous(results, viewer, now)).annotate(
        is_new=~Exists(opened),
        review=review_of_result(),
        comments=comments_of_result(now=now),
        obstacle=obstacle_of_result(observations_for(viewer, now=now)),
    )
    columns = (*RESULT_COLUMNS, "previous", "was", "review", "comments", "obstacle", "is_new")
    if viewer.patient_id is None:
        return shown.values(*columns)
    frame = care_frame_column(patient_id=viewer.patient_id, now=now)
    return shown.annotate(care=frame).values(*columns, "care")


# The hot reads are compiled once for each shape; who asks, and when, is filled in.
LATEST_FIRST = ("-effective_at", "-id")
_AFTER = ("after_effective_at", "after_id")
_NOW = Given("now", DateTimeField())


def _anybody(kind: Kind) -> Viewer:
    """Return a viewer of this kind whose patient is filled in when the statement runs."""
    patient = cast(UUID, Given("patient", UUIDField()))
    user = cast(UUID, Given("user", UUIDField()))
    return Viewer(kind, user, patient, scopes=frozenset(), areas=frozenset())


@lru_cache(maxsize=512)
def _latest(kind: Kind, limit: int, follows: bool) -> Prepared:
    viewer, now = _anybody(kind), cast(datetime, _NOW)
    rows = _as_rows(observations_for(viewer, now=now), viewer, now)
    if follows:
        values = (Given(_AFTER[0], DateTimeField()), Given(_AFTER[1], UUIDField()))
        rows = after(rows, LATEST_FIRST, values)
    return Prepared(rows.order_by(*LATEST_FIRST)[: limit + 1])


@lru_cache(maxsize=8)
def _one_report(kind: Kind) -> Prepared:
    viewer, now = _anybody(kind), cast(datetime, _NOW)
    rows = _with_documents(_report_rows(viewer, now), viewer, now)
    return Prepared(rows.filter(id=Given("report", UUIDField()))[:1])


@lru_cache(maxsize=8)
def _results_of_report(kind: Kind) -> Prepared:
    viewer, now = _anybody(kind), cast(datetime, _NOW)
    results = observations_for(viewer, now=now).filter(report_id=Given("report", UUIDField()))
    return Prepared(_as_rows(results, viewer, now).order_by("position", "id"))


@lru_cache(maxsize=8)
def _series(kind: Kind) -> Prepared:
    viewer = _anybody(kind)
    analyte = cast(str, Given("analyte", CharField()))
    results = observations_for(viewer, now=cast(datetime, _NOW)).filter(
        analyte_key=analyte, effective_at__gte=Given("since", DateTimeField())
    )
    assert viewer.patient_id is not None
    return Prepared(_as_series(results, viewer.patient_id, analyte))


def results_page(
    viewer: Viewer,
    *,
    wanted: ResultFilter,
    cursor: str | None,
    limit: int,
    now: datetime,
) -> Page:
    """Return the latest results first, as dicts, in one statement.

    Raises: InvalidInput for a cursor of another list.
    """
    bound_to = f"labs.results:{viewer.key}:{wanted}"
    if wanted == EVERYTHING and viewer.kind in ("patient", "proxy"):
        rows = _latest(viewer.kind, limit, bool(cursor)).rows(
            patient=viewer.patient_id,
            user=viewer.user_id,
            now=now,
            **dict(zip(_AFTER, decode_cursor(bound_to, cursor) if cursor else (), strict=False)),
        )
        return page_of(rows, order=LATEST_FIRST, bound_to=bound_to, limit=limit)
    results = observations_for(viewer, now=now)
    if wanted.analytes:
        results = results.filter(analyte_key__in=wanted.analytes)
    if wanted.panels:
        results = results.filter(in_panels(wanted.panels))
    if wanted.states:
        results = results.filter(state__in=wanted.states)
    if wanted.collected_from is not None:
        results = results.filter(effective_at__gte=wanted.collected_from)
    if wanted.collected_until is not None:
        results = results.filter(effective_at__lt=wanted.collected_until)
    return keyset_page(
        _as_rows(results, viewer, now),
        order=LATEST_FIRST,
        bound_to=bound_to,
        cursor=cursor,
        limit=limit,
    )


REPORT_COLUMNS = (
    "id", "loinc", "name", "category", "status", "collected_at", "resulted_at", "effective_at",
    "visible_from", "laboratory__name", "has_correction", "is_new", "waits_until",
)  # fmt: skip


def _with_new(reports: QuerySet[DiagnosticReport], viewer: Viewer, now: datetime) -> QuerySet[Any]:
    """Say of each report whether this viewer has opened all of it that she may see.

    What became visible later (a correction, another result, a release) makes it new again; what
    she may not see moves nothing.
    """
    later = observations_for(viewer, now=now).filter(
        patient_id=OuterRef("patient_id"),
        report_id=OuterRef("report_id"),
        visible_from__gt=OuterRef("seen_at"),
    )
    opened = ReportSeen.objects.filter(
        ~Exists(later),
        patient_id=OuterRef("patient_id"),
        user_id=_reader(viewer),
        report_id=OuterRef("id"),
        seen_at__gte=OuterRef("visible_from"),
    )
    return reports.annotate(is_new=~Exists(opened))


def _new_count(viewer: Viewer, now: datetime) -> Coalesce:
    """Return how many reports are new to this viewer, as a column that is counted once."""
    new = _with_new(reports_for(viewer, now=now), viewer, now).filter(is_new=True)
    counted: QuerySet[Any] = new.order_by().values("patient_id").annotate(count=Count("id"))
    return Coalesce(Subquery(counted.values("count")[:1]), 0)


def _report_rows(viewer: Viewer, now: datetime) -> QuerySet[Any, dict[str, Any]]:
    """Return reports as dicts. What is not released leaves no trace in `has_correction`."""
    corrected = observations_for(viewer, now=now).filter(
        patient_id=OuterRef("patient_id"),
        report_id=OuterRef("id"),
        status__in=("corrected", "amended"),
    )
    visible = observations_for(viewer, now=now)
    shown: QuerySet[Any] = _with_new(reports_for(viewer, now=now), viewer, now).annotate(
        has_correction=Exists(corrected),
        waits_until=Case(When(not_released_until__gt=now, then=F("not_released_until"))),
        review=review_of_report(visible),
        comments=comments_of_report(visible, now=now),
    )
    return shown.values(*REPORT_COLUMNS, "review", "comments")


def reports_page(
    viewer: Viewer,
    *,
    wanted: ReportFilter = ALL_REPORTS,
    cursor: str | None,
    limit: int,
    now: datetime,
) -> Page:
    """Return the latest reports first, as dicts, in one statement.

    Each carries in `new_count` how many of all her reports are new to this viewer.
    """
    reports = _report_rows(viewer, now)
    if wanted.new:
        reports = reports.filter(is_new=True)
    if wanted.panels:
        of_panel = observations_for(viewer, now=now).filter(
            in_panels(wanted.panels),
            patient_id=OuterRef("patient_id"),
            report_id=OuterRef("id"),
        )
        reports = reports.filter(Exists(of_panel))
    if wanted.collected_from is not None:
        reports = reports.filter(effective_at__gte=wanted.collected_from)
    if wanted.collected_until is not None:
        reports = reports.filter(effective_at__lt=wanted.collected_until)
    return keyset_page(
        reports.annotate(new_count=_new_count(viewer, now)),
        order=LATEST_FIRST,
        bound_to=f"labs.reports:{viewer.key}:{wanted}",
        cursor=cursor,
        limit=limit,
    )


def documents_for(viewer: Viewer, *, now: datetime) -> QuerySet[Document]:
    """Return the documents of the results that `viewer` may read now."""
    return documents_of_results(observations_for(viewer, now=now), viewer)


def _with_documents(
    reports: QuerySet[Any, dict[str, Any]], viewer: Viewer, now: datetime
) -> QuerySet[Any, dict[str, Any]]:
    return reports.annotate(documents=documents_as_json(documents_for(viewer, now=now)))


def document_for(viewer: Viewer, *, document_id: UUID, now: datetime) -> Attachment:
    """Return the file of one document. Raises: NotFound, also where only a reference came."""
    found = (
        documents_for(viewer, now=now)
        .filter(id=document_id, attachment__isnull=False)
        .select_related("attachment")
        .first()
    )
    if found is None or found.attachment is None:
        raise NotFound()
    return found.attachment


def report_with_results(
    viewer: Viewer, *, report_id: UUID, now: datetime
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return one report and its results in the laboratory's order, in two statements.

    Raises: NotFound.
    """
    if viewer.kind in ("patient", "proxy"):
        given = {
            "patient": viewer.patient_id,
            "user": viewer.user_id,
            "now": now,
            "report": report_id,
        }
        found = _one_report(viewer.kind).rows(**given)
        if not found:
            raise NotFound()
        return found[0], _results_of_report(viewer.kind).rows(**given)
    report = _with_documents(_report_rows(viewer, now), viewer, now).filter(id=report_id).first()
    if report is None:
        raise NotFound()
    results = observations_for(viewer, now=now).filter(report_id=report_id)
    if viewer.patient_id is not None:
        # The index of a report's results begins with the patient.
        results = results.filter(patient_id=viewer.patient_id)
    return report, list(_as_rows(results, viewer, now).order_by("position", "id"))


SERIES_COLUMNS = (
    "id", "effective_at", "loinc", "value_text", "value_kind", "value_low", "value_high",
    "comparator", "unit_text", "unit_ucum", "state", "status", "comparable", "range_used_low",
    "range_used_high", "range_text", "origin", "report_id", "visible_from",
)  # fmt: skip


def _as_series(
    results: QuerySet[Observation], patient_id: UUID, analyte_key: str
) -> QuerySet[Any, dict[str, Any]]:
    shown: QuerySet[Any] = results.annotate(
        treatments=treatments_column(patient_id),
        baseline=baseline_column(patient_id, analyte_key),
        sex=sex_column(patient_id),
    )
    return shown.order_by("effective_at", "id").values(
        *SERIES_COLUMNS, "treatments", "baseline", "sex"
    )


def series_rows(
    viewer: Viewer, *, patient_id: UUID, analyte_key: str, since: datetime, now: datetime
) -> list[dict[str, Any]]:
    """Return every current result of one analyte since an instant, oldest first.

    Each row also carries what `labs.trends.background_of` reads.
    """
    if viewer.kind in ("patient", "proxy") and viewer.patient_id == patient_id:
        return _series(viewer.kind).rows(
            patient=patient_id, now=now, analyte=analyte_key, since=since
        )
    results = observations_for(viewer, now=now).filter(
        patient_id=patient_id, analyte_key=analyte_key, effective_at__gte=since
    )
    return list(_as_series(results, patient_id, analyte_key))


def one_result(viewer: Viewer, *, result_id: UUID, now: datetime) -> dict[str, Any]:
    """Return one result as the lists show it. Raises: NotFound."""
    row = _as_rows(observations_for(viewer, now=now).filter(id=result_id), viewer, now).first()
    if row is None:
        raise NotFound()
    return row


def analytes_of(viewer: Viewer, *, patient_id: UUID, now: datetime) -> Sequence[str]:
    """Return the analytes that have at least one shown result, alphabetically."""
    return list(
        observations_for(viewer, now=now)
        .filter(~Q(analyte_key=""), patient_id=patient_id)
        .order_by("analyte_key")
        .values_list("analyte_key", flat=True)
        .distinct()
    )
