"""Patients as staff see them. Every write goes through the services."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.admin_base import ConfigModelAdmin, RoleTabularInline
from accounts.models import Organization
from accounts.roles import Role
from core.areas import Area
from core.clock import utc_now
from patients import selectors, services
from patients.admin_base import StaffModelAdmin, viewer_of
from patients.grants import scopes_at
from patients.models import (
    AgeBand,
    CaregiverGrant,
    CareTeamMember,
    ContactPause,
    Enrolment,
    Patient,
    PatientIdentifier,
    ProfileFact,
)

_DESK = frozenset({Role.FRONT_DESK, Role.NURSE})
_WARD = frozenset({Role.NURSE, Role.CLINICIAN})
_DEMOGRAPHICS = ("given_name", "family_name", "birth_date", "sex", "language", "zone")


class IdentifierInline(RoleTabularInline):
    model = PatientIdentifier
    fields = ("authority", "value", "type", "valid_from", "valid_until")


class EnrolmentInline(RoleTabularInline):
    model = Enrolment
    fields = ("organization", "starts_at", "ends_at")


class CareTeamInline(RoleTabularInline):
    model = CareTeamMember
    fields = ("person", "role", "valid_from", "valid_until")
    readonly_fields = ("person",)

    @admin.display(description="person")
    def person(self, obj: CareTeamMember) -> str:
        return obj.user.full_name


class FactInline(RoleTabularInline):
    model = ProfileFact
    fields = ("kind", "code", "result", "detail", "starts_on", "ends_on", "source", "superseded_at")


class GrantInline(RoleTabularInline):
    model = CaregiverGrant
    fields = ("basis", "band", "scopes", "valid_from", "valid_until", "revoked_at")
    readonly_fields = ("band",)

    @admin.display(description="Gives now")
    def band(self, obj: CaregiverGrant) -> str:
        """What is left of a guardian's scopes at the patient's age."""
        found = CaregiverGrant.objects.filter(pk=obj.pk).annotate(allowed=scopes_at(utc_now()))
        return ", ".join(found.get().allowed) or "nothing"


class PauseInline(RoleTabularInline):
    model = ContactPause
    fields = ("reason", "starts_at", "ends_at")


class NewPatientForm(forms.ModelForm):
    """What the desk types: who she is, her number, and where she is enrolled."""

    organization = forms.ModelChoiceField(
        queryset=Organization.objects.none(), widget=UnfoldAdminSelectWidget()
    )
    authority = forms.CharField(
        max_length=120, required=False, widget=UnfoldAdminTextInputWidget(), label="Number given by"
    )
    record_number = forms.CharField(
        max_length=80, required=False, widget=UnfoldAdminTextInputWidget()
    )

    class Meta:
        model = Patient
        fields = _DEMOGRAPHICS

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if bool(cleaned.get("authority")) != bool(cleaned.get("record_number")):
            raise forms.ValidationError("Give the number and who gave it, or neither.")
        return cleaned


class PatientForm(forms.ModelForm):
    class Meta:
        model = Patient
        fields = _DEMOGRAPHICS


@admin.register(Patient)
class PatientAdmin(StaffModelAdmin):
    area = Area.RECORD
    writable = True
    writing_roles = _DESK
    form = PatientForm
    list_display = ("family_name", "given_name", "birth_date", "is_active", "deceased_at")
    search_fields = ("family_name__istartswith", "given_name__istartswith", "identifiers__value")
    ordering = ("family_name", "given_name", "id")

    def label_of(self, obj: Patient) -> str:
        return f"{obj.family_name}, {obj.given_name} ({obj.birth_date.isoformat()})"

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if obj is not None:
            return super().get_form(request, obj, change, **kwargs)
        made = super().get_form(request, obj, change, form=NewPatientForm, **kwargs)
        made.base_fields["organization"].queryset = selectors.organizations_to_enrol(
            viewer_of(request), roles=_DESK, now=utc_now()
        )
        return made

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if obj is None:
            return (*_DEMOGRAPHICS, "organization", "authority", "record_number")
        return (*_DEMOGRAPHICS, "is_active", "deceased_at", "registered_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else ("is_active", "deceased_at", "registered_at")

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[type[RoleTabularInline]]:
        if obj is None:
            return []
        frame: list[type[RoleTabularInline]] = [IdentifierInline, EnrolmentInline, CareTeamInline]
        if viewer_of(request).roles & _WARD:
            frame += [FactInline, GrantInline, PauseInline]
        return frame

    def save_model(self, request: HttpRequest, obj: Patient, form: Any, change: bool) -> None:
        demographics = services.Demographics(
            **{name: form.cleaned_data[name] for name in _DEMOGRAPHICS}
        )
        if change:
            services.correct_demographics(
                patient_id=obj.pk, demographics=demographics, now=utc_now()
            )
            return
        numbers = []
        if form.cleaned_data["record_number"]:
            numbers = [
                services.NewIdentifier(
                    form.cleaned_data["authority"], form.cleaned_data["record_number"]
                )
            ]
        registered = services.register_patient(
            demographics=demographics,
            organization=form.cleaned_data["organization"],
            identifiers=numbers,
            now=utc_now(),
        )
        obj.pk = registered.patient.pk
        if registered.look_alikes:
            self.message_user(
                request,
                "Somebody else has this birth date and family name. Check that she is not "
                "registered already; results for both will wait for a person.",
                "warning",
            )


@admin.register(ProfileFact)
class ProfileFactAdmin(StaffModelAdmin):
    """Facts of the disease profile: a change is a new row, the old one stays."""

    area = Area.RECORD
    roles = _WARD
    writable = True
    list_display = ("kind", "code", "result", "source", "recorded_at", "superseded_at")
    list_filter = ("kind",)
    ordering = ("-recorded_at", "id")
    autocomplete_fields = ("patient",)
    fields = (
        "patient", "kind", "code", "result", "detail", "starts_on", "ends_on", "source",
    )  # fmt: skip

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ProfileFact, form: Any, change: bool) -> None:
        made = services.record_fact(
            patient_id=obj.patient_id,
            fact=services.NewFact(
                kind=obj.kind,
                code=obj.code,
                result=obj.result,
                detail=obj.detail,
                starts_on=obj.starts_on,
                ends_on=obj.ends_on,
                source=obj.source,
            ),
            recorded_by=request.user,  # type: ignore[arg-type]
            now=utc_now(),
        )
        obj.pk = made.pk


@admin.register(AgeBand)
class AgeBandAdmin(ConfigModelAdmin):
    """What guardians keep at each age. A change holds from now on, for everybody."""

    list_display = ("from_years", "guardian_areas")
    ordering = ("from_years",)


@admin.register(ContactPause)
class ContactPauseAdmin(StaffModelAdmin):
    """Times in which she is sent nothing."""

    area = Area.RECORD
    roles = _DESK | _WARD
    writable = True
    list_display = ("reason", "starts_at", "ends_at")
    ordering = ("-starts_at", "id")
    autocomplete_fields = ("patient",)
    fields = ("patient", "reason", "starts_at", "ends_at")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: ContactPause, form: Any, change: bool) -> None:
        made = services.pause_contact(
            patient_id=obj.patient_id,
            reason=obj.reason,
            starts_at=obj.starts_at,
            ends_at=obj.ends_at,
            recorded_by=request.user,  # type: ignore[arg-type]
            now=utc_now(),
        )
        obj.pk = made.pk
