"""Templates of comments. They are used once a second person approved them."""

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget

from accounts.models import Membership
from core.areas import Area
from core.clock import utc_now
from labs.models import CommentTemplate
from labs.placeholders import PLACEHOLDERS, TextRefused, checked_template
from labs.services.reviewing import LANGUAGES
from labs.services.templates import approve_template, retire_template, write_template
from patients.admin_base import StaffModelAdmin

IN_USE, WAITS, RETIRED = "in use", "waits for a second person", "not in use"


class TemplateForm(forms.ModelForm):
    language = forms.ChoiceField(choices=LANGUAGES, widget=UnfoldAdminSelectWidget)

    class Meta:
        model = CommentTemplate
        fields = ("organization", "key", "language", "title", "text")
        help_texts = {
            "text": "Plain text. Places: "
            + "; ".join(f"{{{name}}} {words}" for name, words in PLACEHOLDERS.items())
        }

    def clean_text(self) -> str:
        try:
            return checked_template(str(self.cleaned_data["text"]))
        except TextRefused as refusal:
            raise forms.ValidationError(str(refusal)) from refusal


@admin.register(CommentTemplate)
class CommentTemplateAdmin(StaffModelAdmin):
    """A change is a new version: add one with the same key and language."""

    area = Area.LABS
    writable = True
    form = TemplateForm
    list_display = ("title", "key", "language", "version", "standing", "organization")
    list_filter = ("is_active", "language", "organization")
    list_select_related = ("organization",)
    ordering = ("title", "language", "-version")
    actions_submit_line = ("approve", "retire")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        open_to_steps = obj is None or obj.approved_at is None or obj.is_active
        return bool(super().has_change_permission(request, obj)) and open_to_steps

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # Whoever wants other words writes the next version.
        return () if obj is None else ("organization", "key", "language", "title", "text")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "organization":
            mine = Membership.objects.active_at(utc_now()).filter(user=request.user)  # type: ignore[misc]
            kwargs["queryset"] = db_field.related_model.objects.filter(
                id__in=mine.values("organization_id")
            )
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def get_actions_submit_line(self, request: HttpRequest, object_id: Any) -> list[Any]:
        template = self.get_object(request, str(object_id))
        if template is None or not self.has_change_permission(request, template):
            return []
        waits = template.approved_at is None
        wanted = "_approve" if waits else "_retire"
        if waits and template.written_by_id == request.user.pk:
            return []
        steps = super().get_actions_submit_line(request, object_id)
        return [step for step in steps if step.action_name.endswith(wanted)]

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        only_steps = {"show_save": False, "show_save_and_continue": False}
        context = {**(extra_context or {}), **(only_steps if object_id else {})}
        return super().changeform_view(request, object_id, form_url, context)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            write_template(obj, actor=request.user, now=utc_now())  # type: ignore[arg-type]
            return
        for step in self.get_actions_submit_line(request, obj.pk):
            if step.action_name in request.POST:
                step.method(request, obj)

    @action(description="Approve")
    def approve(self, request: HttpRequest, template: CommentTemplate) -> None:
        approve_template(template_id=template.pk, actor=request.user, now=utc_now())  # type: ignore[arg-type]

    @action(description="Take out of use")
    def retire(self, request: HttpRequest, template: CommentTemplate) -> None:
        retire_template(template_id=template.pk, now=utc_now())

    @display(description="standing", label={IN_USE: "success", WAITS: "warning"})
    def standing(self, template: CommentTemplate) -> str:
        if template.is_active:
            return IN_USE
        return WAITS if template.approved_at is None else RETIRED
