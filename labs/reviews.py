"""What was said about results, as sub-selects of the statements that read the results.

Each returns JSON as text, or an array of it, so that a page costs no statement more. `visible`
are the results that the reader may see: nothing is told about any other.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import (
    BooleanField,
    Count,
    Exists,
    Expression,
    F,
    Func,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
)
from django.db.models.functions import Cast, Coalesce, JSONObject

from labs.models import Comment, DerivedObstacle, Observation, Review

Seen = Mapping[str, int]


def seen_of(rows: Iterable[Observation]) -> dict[str, int]:
    """Return which version of each result counts, by identity; withdrawn ones do not."""
    return {
        row.identity_key: row.version
        for row in rows
        if row.superseded_at is None and row.withdrawn_at is None
    }


def seen_digest(report_version: int, seen: Seen) -> str:
    """Return a digest of what a page showed, which a form carries back."""
    parts = [str(report_version), *(f"{key}={seen[key]}" for key in sorted(seen))]
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()


def counting() -> QuerySet[Observation]:
    """Return the results that count, as staff see them."""
    return Observation.objects.current().filter(withdrawn_at__isnull=True)


def _json_text(**fields: Any) -> Cast:
    return Cast(JSONObject(**fields), TextField())


def _version_in(seen: Any, identity: Any) -> Cast:
    """Return the version of a result that `seen` names; null when it names none."""
    found = Func(
        seen, identity, template="(%(expressions)s)", arg_joiner=" ->> ", output_field=TextField()
    )
    return Cast(found, IntegerField())


def _how_many_seen() -> Func:
    return Func(
        F("seen"),
        template="(SELECT count(*) FROM jsonb_object_keys(%(expressions)s))",
        output_field=IntegerField(),
    )


def _of_the_report(visible: QuerySet[Observation]) -> QuerySet[Any]:
    """Return the visible results of the report that a review or comment speaks of."""
    return visible.filter(
        patient_id=OuterRef("patient_id"), report_id=OuterRef("report_id")
    ).annotate(then=_version_in(OuterRef("seen"), F("identity_key")))


def review_of_result() -> Subquery:
    """Return the latest review of the newest version of a result that was reviewed.

    {"role", "at", "version"}; the version may be older than the one that counts.
    """
    reviews: QuerySet[Any] = (
        Review.objects.filter(patient_id=OuterRef("patient_id"), report_id=OuterRef("report_id"))
        .annotate(of_version=_version_in(F("seen"), OuterRef("identity_key")))
        .filter(of_version__isnull=False)
        .order_by("-of_version", "-reviewed_at", "-id")
        .values(
            said=_json_text(role=F("reviewer_role"), at=F("reviewed_at"), version=F("of_version"))
        )
    )
    return Subquery(reviews[:1])


def review_of_report(visible: QuerySet[Observation]) -> Subquery:
    """Return the latest review of a report, and what of the visible results it did not see.

    {"role", "at", "missed", "corrected"}: `missed` says that something came or changed since,
    `corrected` that a result which was seen then has another version now.
    """
    results = _of_the_report(visible)
    reviews: QuerySet[Any] = (
        Review.objects.filter(patient_id=OuterRef("patient_id"), report_id=OuterRef("id"))
        .order_by("-report_version", "-reviewed_at", "-id")
        .values(
            said=_json_text(
                role=F("reviewer_role"),
                at=F("reviewed_at"),
                missed=Exists(results.filter(_not_seen())),
                corrected=Exists(results.filter(then__lt=F("version"))),
                # A report without results says what its version says.
                bare=Q(seen={}),
                version=F("report_version"),
                # Of a version whose results are kept from her nothing shows here.
                now=Coalesce(OuterRef("shown_version"), OuterRef("version")),
            )
        )
    )
    return Subquery(reviews[:1])


def _not_seen() -> Q:
    return Q(then__isnull=True) | ~Q(then=F("version"))


def is_reviewed() -> Exists:
    """Say whether somebody reviewed a report as it stands now, for staff."""
    missed = _of_the_report(counting()).filter(_not_seen())
    reviews = Review.objects.filter(patient_id=OuterRef("patient_id"), report_id=OuterRef("pk"))
    return Exists(
        reviews.filter(~Q(seen={}) | Q(report_version=OuterRef("version"))).exclude(Exists(missed))
    )


def result_is_reviewed() -> Exists:
    """Say whether somebody reviewed this version of a result."""
    return Exists(
        Review.objects.filter(patient_id=OuterRef("patient_id"), report_id=OuterRef("report_id"))
        .annotate(of_version=_version_in(F("seen"), OuterRef("identity_key")))
        .filter(of_version=OuterRef("version"))
    )


def _published(now: Any) -> QuerySet[Comment]:
    return Comment.objects.filter(
        superseded_at__isnull=True, withdrawn_at__isnull=True, published_at__lte=now
    )


def _comment_json(**more: Any) -> Cast:
    return _json_text(
        text=F("text"),
        language=F("language"),
        role=F("author_role"),
        given=F("author__given_name"),
        family=F("author__family_name"),
        at=F("published_at"),
        **more,
    )


def comments_of_result(*, now: datetime | Expression) -> ArraySubquery:
    """Return the comments on a visible result, oldest first; `version` is the one commented."""
    comments: QuerySet[Any] = (
        _published(now)
        .filter(
            patient_id=OuterRef("patient_id"),
            report_id=OuterRef("report_id"),
            identity_key=OuterRef("identity_key"),
        )
        .annotate(of_version=_version_in(F("seen"), OuterRef("identity_key")))
        .order_by("published_at", "id")
        .values(said=_comment_json(version=F("of_version")))
    )
    return ArraySubquery(comments)


def comments_of_report(
    visible: QuerySet[Observation], *, now: datetime | Expression
) -> ArraySubquery:
    """Return the comments on a report as a whole, oldest first.

    One that was written over a result which the reader may not see is absent.
    """
    results = _of_the_report(visible)
    shown = (
        results.filter(then__isnull=False).order_by().values("report_id").annotate(n=Count("id"))
    )
    comments: QuerySet[Any] = (
        _published(now)
        .filter(patient_id=OuterRef("patient_id"), report_id=OuterRef("id"), identity_key="")
        .annotate(
            shown=Coalesce(Subquery(shown.values("n")), 0),
            seen_then=_how_many_seen(),
            corrected=Exists(results.filter(then__lt=F("version"))),
        )
        .filter(shown=F("seen_then"))
        .order_by("published_at", "id")
        .values(said=_comment_json(corrected=F("corrected")))
    )
    return ArraySubquery(comments)


def obstacle_of_result(visible: QuerySet[Observation]) -> Subquery:
    """Return why a total calcium was not corrected: {"obstacles"}.

    Null where the reader may not see every result that the reasons speak of.
    """
    among = Func(
        F("id"),
        OuterRef("inputs"),
        template="(%(expressions)s))",
        arg_joiner=" = ANY(",
        output_field=BooleanField(),
    )
    shown = (
        visible.filter(among, patient_id=OuterRef("patient_id"))
        .order_by()
        .values("patient_id")
        .annotate(n=Count("id"))
    )
    found: QuerySet[Any] = (
        DerivedObstacle.objects.filter(
            patient_id=OuterRef("patient_id"), calcium_id=OuterRef("id"), superseded_at__isnull=True
        )
        .annotate(of_analyte=Cast(OuterRef("analyte_key"), TextField()))
        .filter(of_analyte="calcium_total")
        .annotate(shown=Coalesce(Subquery(shown.values("n")), 0))
        .filter(shown=Func(F("inputs"), function="cardinality", output_field=IntegerField()))
        .values(said=_json_text(obstacles=F("obstacles")))
    )
    return Subquery(found[:1])
