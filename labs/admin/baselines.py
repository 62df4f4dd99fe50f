"""The baseline of one test, on the trend page: what it is, and the form that sets it."""

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse

from accounts.admin_base import roles_of
from accounts.roles import Role
from clinical.analytes import Analyte
from clinical.trend import Marker
from core.clock import utc_now
from core.errors import InvalidInput, NotFound
from labs.selectors import analytes_of
from labs.services.baselines import remove_baseline, set_baseline, take_baseline
from labs.staff_reading import baselines_of
from labs.trend_words import day, shown
from labs.trends import Trend, known_analyte
from patients.admin_base import viewer_of
from patients.models import Patient

SETTING_ROLES = frozenset({Role.CLINICIAN})


class BaselineForm(forms.Form):
    """One of three: a result, a number with its unit, or none any more."""

    result = forms.UUIDField(required=False)
    value = forms.DecimalField(required=False, max_digits=20, decimal_places=10)
    unit = forms.CharField(required=False, max_length=40)
    remove = forms.BooleanField(required=False)

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        ways = [said.get("result"), said.get("value") is not None, said.get("remove")]
        if not self.errors and sum(map(bool, ways)) != 1:
            raise forms.ValidationError("Choose a result, or type a number, or remove it.")
        return said


def context(request: HttpRequest, trend: Trend, patient: Patient) -> dict[str, Any]:
    """Return what the trend page says of the baseline, and who may set it."""
    analyte = trend.analyte
    row = baselines_of(patient.pk).get(analyte.key)
    tz = ZoneInfo(patient.zone)
    taken_from = row.observation if row else None
    return {
        "baseline_row": row,
        "baseline_corrected": taken_from is not None and taken_from.superseded_at is not None,
        "baseline_units": analyte.accepted_ucum,
        "baseline_choices": [
            {
                "id": point.result_id,
                "words": f"{shown(point.number)} {trend.unit_text}, {day(point.at, tz)}",
            }
            for point in reversed(trend.points)
            if point.marker is Marker.CLOSED
        ],
        "may_set_baseline": bool(roles_of(request) & SETTING_ROLES),
    }


def set_view(request: HttpRequest, patient_id: UUID, analyte_key: str) -> HttpResponse:
    """Take the form of the trend page. Raises: NotFound for whom the record is out of reach."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    viewer, now = viewer_of(request), utc_now()
    analyte = known_analyte(analyte_key)
    if not roles_of(request) & SETTING_ROLES:
        raise NotFound()
    if analyte_key not in analytes_of(viewer, patient_id=patient_id, now=now):
        raise NotFound()
    form = BaselineForm(request.POST)
    if not form.is_valid():
        problems = [str(problem) for found in form.errors.values() for problem in found]
        messages.error(request, " ".join(problems))
    else:
        _set(request, analyte, patient_id, form.cleaned_data, now)
    address = reverse("admin:labs_observation_trend", args=[patient_id, analyte_key])
    return HttpResponseRedirect(address)


def _set(
    request: HttpRequest, analyte: Analyte, patient_id: UUID, said: dict[str, Any], now: datetime
) -> None:
    """Set what the form says; a refusal is a message on the page."""
    about: Any = {"patient_id": patient_id, "analyte_key": analyte.key, "now": now}
    viewer = viewer_of(request)
    try:
        if said["remove"]:
            remove_baseline(viewer, **about)
        elif said["result"]:
            take_baseline(viewer, result_id=said["result"], **about)
        else:
            set_baseline(viewer, value=said["value"], unit_ucum=said["unit"], **about)
    except InvalidInput as refusal:
        messages.error(request, " ".join(error.message for error in refusal.errors))
        return
    messages.success(request, "The baseline is set." if not said["remove"] else "No baseline now.")
