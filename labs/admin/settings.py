"""What staff settle about each sender: how it is read, its codes, its ranges."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget

from accounts.admin_base import RoleTabularInline
from clinical.analytes import analytes, by_key
from clinical.units import unit_of_ucum
from core.areas import Area
from core.clock import utc_now
from labs.hl7.codes import is_loinc
from labs.models import CodeMap, ConfiguredRange, SenderName, SendingLaboratory
from labs.services.settling import approve_range
from patients.admin_base import StaffModelAdmin


class SenderNameInline(RoleTabularInline):
    model = SenderName
    writable = True
    fields = ("application", "facility")


@admin.register(SendingLaboratory)
class SendingLaboratoryAdmin(StaffModelAdmin):
    area = Area.INTAKE
    writable = True
    list_display = ("name", "key", "organization", "zone", "is_gateway", "is_active")
    list_filter = ("is_active", "organization")
    list_select_related = ("organization",)
    ordering = ("name",)
    inlines = (SenderNameInline,)
    fieldsets = (
        (None, {"fields": ("key", "name", "organization", "is_active")}),
        ("How it proves itself", {"fields": ("client_id", "peer_networks", "is_gateway")}),
        (
            "How it is read",
            {
                "fields": (
                    *("zone", "decimal_comma", "unit_aliases", "flag_meanings"),
                    *("off_scale_means_panic", "default_authority", "allowed_authorities"),
                    *("reuses_control_ids", "shows_preliminary"),
                )
            },
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # The key stands in results' events and in the sender's set-up.
        return () if obj is None else ("key",)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.client_id = obj.client_id or None
        super().save_model(request, obj, form, change)


class CodeMapForm(forms.ModelForm):
    class Meta:
        model = CodeMap
        fields = ("laboratory", "local_code", "local_system", "loinc")
        labels = {"loinc": "LOINC"}
        help_texts = {
            "local_code": "OBX-3.1 (in FHIR: coding.code), as the laboratory writes it",
            "local_system": "OBX-3.3 (in FHIR: coding.system); empty = whatever stands there",
            "loinc": "the LOINC code that this test means, with its check digit",
        }

    def clean_loinc(self) -> str:
        loinc = str(self.cleaned_data["loinc"]).strip()
        if not is_loinc(loinc):
            raise forms.ValidationError("Not a LOINC code: shape or check digit is wrong.")
        return loinc


@admin.register(CodeMap)
class CodeMapAdmin(StaffModelAdmin):
    area = Area.INTAKE
    writable = True
    form = CodeMapForm
    list_display = ("laboratory", "local_code", "local_system", "loinc", "mapped_at")
    list_filter = ("laboratory",)
    list_select_related = ("laboratory",)
    search_fields = ("local_code", "loinc")
    ordering = ("laboratory__name", "local_code")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.mapped_by, obj.mapped_at = request.user, utc_now()
        super().save_model(request, obj, form, change)


class RangeForm(forms.ModelForm):
    analyte_key = forms.ChoiceField(
        label="Analyte",
        # Nothing is chosen beforehand: a range judges what it is saved for.
        choices=lambda: [("", "Choose one"), *((a.key, a.short_name) for a in analytes())],
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = ConfiguredRange
        fields = (
            *("laboratory", "analyte_key", "loinc", "sex", "age_from_years", "age_to_years"),
            *("unit", "low", "high", "source", "valid_from", "valid_until"),
        )
        labels = {"loinc": "LOINC"}

    def clean_loinc(self) -> str:
        loinc = str(self.cleaned_data["loinc"]).strip()
        analyte = self.cleaned_data.get("analyte_key", "")
        if loinc and analyte and loinc not in by_key(analyte).loincs:
            raise forms.ValidationError("Not a LOINC code of this analyte.")
        return loinc

    def clean_unit(self) -> str:
        unit = str(self.cleaned_data["unit"]).strip()
        analyte = self.cleaned_data.get("analyte_key", "")
        accepted = by_key(analyte).accepted_ucum if analyte else ()
        if accepted and not _converts(unit, accepted):
            words = f"Not a unit of this analyte. It has: {', '.join(accepted)}."
            raise forms.ValidationError(words)
        return unit


def _converts(unit: str, accepted: Iterable[str]) -> bool:
    try:
        return unit_of_ucum(unit).dimension in {unit_of_ucum(one).dimension for one in accepted}
    except KeyError:
        return False


@admin.register(ConfiguredRange)
class ConfiguredRangeAdmin(StaffModelAdmin):
    """Ranges that judge when a message carries none. They do so once a second person approved."""

    area = Area.INTAKE
    writable = True
    form = RangeForm
    list_display = (
        *("laboratory", "analyte_key", "sex", "bounds", "valid_from", "valid_until", "approved"),
    )
    list_filter = ("laboratory", "analyte_key")
    list_select_related = ("laboratory", "approved_by")
    ordering = ("laboratory__name", "analyte_key", "valid_from")
    actions_submit_line = ("approve",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # What has judged results stays as it was; a new range follows it.
        return super().has_change_permission(request, obj) and (
            obj is None or obj.approved_at is None
        )

    def get_actions_submit_line(self, request: HttpRequest, object_id: Any) -> list[Any]:
        entered = self.get_object(request, str(object_id))
        if entered is None or not self.has_change_permission(request, entered):
            return []
        if entered.entered_by_id in (None, request.user.pk):
            return []
        return super().get_actions_submit_line(request, object_id)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Keep what was entered; whoever changes it stands for it, so another must approve."""
        if not change or form.changed_data:
            obj.entered_by = request.user
            super().save_model(request, obj, form, change)
        for step in self.get_actions_submit_line(request, obj.pk) if change else ():
            if step.action_name in request.POST:
                step.method(request, obj)

    @action(description="Approve")
    def approve(self, request: HttpRequest, entered: ConfiguredRange) -> None:
        approve_range(range_id=entered.pk, actor=request.user, now=utc_now())  # type: ignore[arg-type]

    @display(description="range")
    def bounds(self, entered: ConfiguredRange) -> str:
        low = "" if entered.low is None else f"{entered.low:f}"
        high = "" if entered.high is None else f"{entered.high:f}"
        return f"{low} to {high} {entered.unit}".strip()

    @display(description="approved", boolean=True)
    def approved(self, entered: ConfiguredRange) -> bool:
        return entered.approved_at is not None
