"""Set-up: organizations, people who work there, roles, and programs that connect."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from accounts import services
from accounts.admin_base import ConfigModelAdmin, RoleTabularInline
from accounts.models import (
    DutyShift,
    Holiday,
    Membership,
    OAuthClient,
    OpeningHours,
    Organization,
    User,
)
from accounts.roles import Role
from core.clock import utc_now


def _own_organizations(request: HttpRequest) -> QuerySet[Organization]:
    """The organizations that the viewer administers; all for the superuser who sets up."""
    if request.user.is_superuser:
        return Organization.objects.all()
    return Organization.objects.filter(
        id__in=Membership.objects.active_at(utc_now())
        .filter(user=request.user.pk, role=Role.ADMINISTRATOR)
        .values("organization_id")
    )


class OpeningHoursInline(RoleTabularInline):
    model = OpeningHours
    writable = True


class HolidayInline(RoleTabularInline):
    model = Holiday
    writable = True


class DutyShiftInline(RoleTabularInline):
    model = DutyShift
    writable = True
    fields = ("user", "starts_at", "ends_at", "on_call", "page_phone")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "user":
            kwargs["queryset"] = _staff_of(request)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)


@admin.register(Organization)
class OrganizationAdmin(ConfigModelAdmin):
    list_display = ("name", "zone", "phone_day", "phone_24h", "is_active")
    fields = ("name", "zone", "language", "phone_day", "phone_24h", "is_active")
    readonly_fields = ("is_active",)
    inlines = (OpeningHoursInline, HolidayInline, DutyShiftInline)
    actions = ("activate",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Organization]:
        return super().get_queryset(request).filter(pk__in=_own_organizations(request).values("pk"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_superuser)

    @admin.action(description="Open for patients, when nothing is missing", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Organization]) -> None:
        for organization in queryset:
            services.activate_organization(organization_id=organization.pk, now=utc_now())
            messages.success(request, f"{organization} is active.")


def _staff_of(request: HttpRequest) -> QuerySet[User]:
    """Staff of the viewer's organizations, and staff who work nowhere yet. Never a patient."""
    staff = User.objects.filter(is_staff=True)
    if request.user.is_superuser:
        return staff
    return staff.filter(
        Q(memberships__organization__in=_own_organizations(request)) | Q(memberships__isnull=True)
    ).distinct()


class NewStaffForm(forms.ModelForm):
    """A member of staff sets the password from the reset mail; nobody types it here."""

    class Meta:
        model = User
        fields = ("email", "given_name", "family_name", "language", "zone")


@admin.register(User)
class StaffAdmin(ConfigModelAdmin):
    """People who work here. Patients' accounts are not shown: they are patient data."""

    form = NewStaffForm
    list_display = ("email", "given_name", "family_name", "is_active")
    search_fields = ("email", "family_name")
    ordering = ("email",)
    actions = ("deactivate",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).filter(pk__in=_staff_of(request).values("pk"))

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> tuple[str, ...]:
        return ("email",) if obj else ()

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)
            return
        made = services.open_account(
            email=obj.email,
            given_name=obj.given_name,
            family_name=obj.family_name,
            language=obj.language,
            zone=obj.zone,
            is_staff=True,
            now=utc_now(),
        )
        obj.pk = made.pk

    @admin.action(description="Close these accounts", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """No sign-in, token or session from now on."""
        for user in queryset:
            services.deactivate_account(user=user, now=utc_now())
        messages.success(request, "Closed.")


@admin.register(Membership)
class MembershipAdmin(ConfigModelAdmin):
    list_display = ("person", "organization", "role", "valid_from", "valid_until")
    list_select_related = ("user", "organization")
    list_filter = ("role",)
    fields = ("user", "organization", "role", "valid_from", "valid_until")

    @admin.display(description="person")
    def person(self, obj: Membership) -> str:
        return obj.user.full_name or obj.user.email

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).filter(organization__in=_own_organizations(request))

    def get_readonly_fields(
        self, request: HttpRequest, obj: Membership | None = None
    ) -> tuple[str, ...]:
        return ("user", "organization", "role", "valid_from") if obj else ()

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "user":
            kwargs["queryset"] = _staff_of(request)
        elif db_field.name == "organization":
            kwargs["queryset"] = _own_organizations(request)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Membership, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change:
            # A role that changes takes tokens and sessions with it.
            services.end_access(user=obj.user)


@admin.register(OAuthClient)
class OAuthClientAdmin(ConfigModelAdmin):
    """Programs that connect. Registered by command; secrets are shown there once, never here."""

    writable = False
    list_display = ("name", "kind", "client_id", "is_active", "created")
    fields = ("name", "kind", "client_id", "redirect_uris", "is_active", "created")
