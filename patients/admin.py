"""Patients, as staff see them."""

from django.contrib import admin

from core.areas import Area
from patients.admin_base import StaffModelAdmin
from patients.models import Patient


@admin.register(Patient)
class PatientAdmin(StaffModelAdmin):
    area = Area.RECORD
    list_display = ("family_name", "given_name", "birth_date", "is_active", "deceased_at")
    search_fields = ("family_name__istartswith", "given_name__istartswith")
    ordering = ("family_name", "given_name", "id")
