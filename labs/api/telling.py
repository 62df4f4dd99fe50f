"""When she wants to be told of results: her own choice, which moves notices and nothing else."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.scopes import Scope
from core.api.serializers import Section
from core.areas import Area
from core.errors import NotFound
from labs.release_rules import ResultClass
from labs.services.telling import Chosen, choose, wishes_of
from labs.telling_rules import (
    BACKSTOP_AT_MOST,
    BACKSTOP_DAYS,
    DAY_ENDS,
    DAY_STARTS,
    When,
    Wish,
)
from patients.api.views import PatientView


class TellingItem(serializers.Serializer):
    result_class = serializers.ChoiceField([each.value for each in ResultClass])
    when = serializers.ChoiceField(
        [each.value for each in When],
        help_text="`now` also at night; `after_comment`: after a clinician's review or comment.",
    )
    hours_from = serializers.TimeField(
        format="%H:%M", default=DAY_STARTS, help_text="Local to her; also the hour of `on_date`."
    )
    hours_until = serializers.TimeField(format="%H:%M", default=DAY_ENDS)
    on_date = serializers.DateField(allow_null=True, default=None)
    days_after = serializers.IntegerField(
        allow_null=True, default=None, min_value=0, max_value=BACKSTOP_AT_MOST
    )
    backstop_days = serializers.IntegerField(
        allow_null=True,
        default=None,
        min_value=1,
        max_value=BACKSTOP_AT_MOST,
        help_text=f"Told at the latest; {BACKSTOP_DAYS} when left out, none for `never`.",
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse what has no meaning: hours that end before they begin, a day with no use."""
        when = attrs["when"]
        if attrs["hours_from"] >= attrs["hours_until"]:
            raise serializers.ValidationError({"hours_until": "Must be later than hours_from."})
        days = [attrs["on_date"] is not None, attrs["days_after"] is not None]
        if when == When.ON_DATE and sum(days) != 1:
            raise serializers.ValidationError({"on_date": "Give on_date or days_after."})
        if when != When.ON_DATE and any(days):
            raise serializers.ValidationError({"on_date": "Goes with on_date only."})
        if when == When.NEVER and attrs["backstop_days"] is not None:
            raise serializers.ValidationError({"backstop_days": "Never has none."})
        if when != When.NEVER and attrs["backstop_days"] is None:
            attrs["backstop_days"] = BACKSTOP_DAYS
        return attrs


class TellingChoice(serializers.Serializer):
    items = TellingItem(many=True)

    def validate_items(self, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Refuse a choice that leaves a class out or names one twice."""
        named = sorted(item["result_class"] for item in items)
        if named != sorted(each.value for each in ResultClass):
            raise serializers.ValidationError("Name each result class once.")
        return items


class TellingAnswerItem(TellingItem):
    chosen_at = serializers.DateTimeField(
        allow_null=True, help_text="Null: she has not chosen; this is the portal's usual way."
    )


class TellingAnswer(Section):
    items = TellingAnswerItem(many=True)


class TellingView(PatientView):
    """Hers alone: a caregiver gets 404."""

    area = Area.LABS
    operation = "labs.telling"
    resource = "TellingWish"
    scopes = {"GET": Scope.LABS_READ, "PUT": Scope.LABS_READ}

    @extend_schema(operation_id="readTelling", responses=TellingAnswer)
    def get(self, request: Request) -> Response:
        """When she wants to be told of results, by class."""
        return self._answer_with_wishes()

    @extend_schema(operation_id="chooseTelling", request=TellingChoice, responses=TellingAnswer)
    def put(self, request: Request) -> Response:
        """Choose it for every class. What is visible does not change, only when she is told."""
        body = TellingChoice(data=request.data)
        body.is_valid(raise_exception=True)
        wishes = {
            ResultClass(item["result_class"]): Wish(
                when=When(item["when"]),
                hours_from=item["hours_from"],
                hours_until=item["hours_until"],
                on_date=item["on_date"],
                days_after=item["days_after"],
                backstop_days=item["backstop_days"],
            )
            for item in body.validated_data["items"]
        }
        choose(viewer=self.viewer, wishes=wishes, now=self.now)
        return self._answer_with_wishes()

    def _answer_with_wishes(self) -> Response:
        if self.viewer.kind != "patient" or self.viewer.patient_id is None:
            raise NotFound()
        found = wishes_of(self.viewer.patient_id)
        return Response(
            {
                "items": [_item(each, chosen) for each, chosen in found.items()],
                "as_of": self.now,
                "warnings": [],
            }
        )


def _item(each: ResultClass, chosen: Chosen) -> dict[str, Any]:
    wish = chosen.wish
    return {
        "result_class": each.value,
        "when": wish.when.value,
        "hours_from": f"{wish.hours_from:%H:%M}",
        "hours_until": f"{wish.hours_until:%H:%M}",
        "on_date": wish.on_date and wish.on_date.isoformat(),
        "days_after": wish.days_after,
        "backstop_days": wish.backstop_days,
        "chosen_at": chosen.chosen_at,
    }
