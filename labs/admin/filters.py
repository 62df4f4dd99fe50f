"""Filters that make a list a queue."""

from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest

from core.clock import utc_now
from labs.queues import TROUBLES, changed_since_read, unreviewed
from labs.reviews import result_is_reviewed
from patients.models import CareTeamMember

Rows = QuerySet[Any]


class YesNo(admin.SimpleListFilter):
    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes"), ("no", "No")]


class ReviewedFilter(YesNo):
    """Reports that somebody reviewed as they stand now; one that was taken back needs nobody."""

    title = "reviewed"
    parameter_name = "reviewed"

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        if self.value() == "yes":
            return queryset.filter(awaits_review=False).exclude(status="entered-in-error")
        if self.value() == "no":
            return unreviewed(queryset)
        return queryset


class ChangedFilter(admin.SimpleListFilter):
    """Reports of which the viewer read a result that was corrected or withdrawn afterwards."""

    title = "changed after you read it"
    parameter_name = "changed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes")]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        if self.value() != "yes":
            return queryset
        return changed_since_read(queryset, user_id=request.user.pk, now=utc_now())


class ResultReviewedFilter(YesNo):
    title = "reviewed"
    parameter_name = "reviewed"

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        if self.value() == "yes":
            return queryset.filter(result_is_reviewed())
        if self.value() == "no":
            # What a patient typed in asks nobody for a review.
            waits = Q(report__awaits_review=True)
            return queryset.filter(waits, ~result_is_reviewed()).exclude(origin="patient")
        return queryset


class MyPatientsFilter(admin.SimpleListFilter):
    """Patients on whose care team the viewer is now."""

    title = "patients"
    parameter_name = "patients"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("mine", "My patients")]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        if self.value() != "mine":
            return queryset
        now = utc_now()
        return queryset.filter(
            Exists(
                CareTeamMember.objects.filter(
                    Q(valid_until__isnull=True) | Q(valid_until__gt=now),
                    patient_id=OuterRef("patient_id"),
                    user=request.user,  # type: ignore[misc]
                    valid_from__lte=now,
                )
            )
        )


class TroubleFilter(admin.SimpleListFilter):
    title = "kind of trouble"
    parameter_name = "trouble"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(key, words) for key, (words, _) in TROUBLES.items()]

    def queryset(self, request: HttpRequest, queryset: Rows) -> Rows:
        chosen = TROUBLES.get(self.value() or "")
        return queryset.filter(reason__in=chosen[1]) if chosen else queryset
