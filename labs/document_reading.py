"""Which documents a viewer may read, and the words of a report that is no table of numbers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import BooleanField, Exists, F, Func, OuterRef, QuerySet, TextField
from django.db.models.functions import Cast, JSONObject

from clinical.report_kinds import ReportKind
from labs.models import Document, Observation
from patients.viewer import Viewer


class ReportOpen(Func):
    """Whether nothing of a report is kept from her: a file says all that its report says."""

    function = "labs_report_open"
    output_field = BooleanField()


def documents_of_results(results: QuerySet[Observation], viewer: Viewer) -> QuerySet[Document]:
    """Return the documents of `results`, which are what `viewer` may read."""
    # Report and patient beside the id: the planner then looks at one report, not at a record.
    of_one = results.filter(
        patient_id=OuterRef("patient_id"),
        report_id=OuterRef("report_id"),
        id=OuterRef("observation_id"),
    )
    documents = Document.objects.filter(Exists(of_one))
    if viewer.kind not in ("patient", "proxy"):
        return documents
    assert viewer.patient_id is not None
    return documents.filter(
        ReportOpen(F("patient_id"), F("report_id"), F("observation_id")),
        patient_id=viewer.patient_id,
    )


def documents_as_json(documents: QuerySet[Document]) -> ArraySubquery:
    """Return the documents of the outer report as a list of JSON texts, for `shown_documents`."""
    rows = documents.filter(patient_id=OuterRef("patient_id"), report_id=OuterRef("id"))
    return ArraySubquery(
        rows.order_by("position").values(
            one=Cast(
                JSONObject(
                    id="id",
                    observation="observation_id",
                    title="title",
                    type="attachment__media_type",
                    bytes="attachment__size",
                    at="filed_at",
                ),
                TextField(),
            )
        )
    )


@dataclass(frozen=True, slots=True)
class ShownDocument:
    """One document of a report. `type` None: it stays at the laboratory and cannot be opened."""

    id: UUID
    observation_id: UUID
    title: str
    type: str | None
    bytes: int | None
    at: datetime


def shown_documents(texts: list[str], rows: list[dict[str, Any]]) -> list[ShownDocument]:
    """Return the documents of a report in the order of its results, `rows`."""
    place = {row["id"]: number for number, row in enumerate(rows)}
    shown = [_shown(orjson.loads(text)) for text in texts]
    return sorted(shown, key=lambda document: place.get(document.observation_id, len(place)))


def _shown(read: dict[str, Any]) -> ShownDocument:
    return ShownDocument(
        id=UUID(read["id"]),
        observation_id=UUID(read["observation"]),
        title=read["title"],
        type=read["type"],
        bytes=read["bytes"],
        at=datetime.fromisoformat(read["at"]),
    )


def sections_of(
    kind: ReportKind, rows: list[dict[str, Any]], documents: list[ShownDocument]
) -> list[dict[str, Any]]:
    """Return the texts of a report in words, in the order in which it was written.

    A laboratory's report has none: its texts are results beside numbers.
    """
    if kind is ReportKind.LABORATORY:
        return []
    files = {document.observation_id for document in documents}
    return [
        {"result_id": row["id"], "title": row["display_name"], "text": row["value_text"]}
        for row in rows
        if row["value_kind"] == "non_numeric" and row["value_text"] and row["id"] not in files
    ]
