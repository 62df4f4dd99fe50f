"""Pages on a row that is settled by a step: buttons below the form, nothing to save between."""

from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse

from patients.admin_base import StaffModelAdmin


class StepsAdmin(StaffModelAdmin):
    """`actions_submit_line` are the steps, open while `is_open`; `told` goes with each of them."""

    writable = True
    told: ClassVar[str]

    def is_open(self, obj: Any) -> bool:
        """Return whether there is still a step to take."""
        raise NotImplementedError

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may_write(request) and (obj is None or self.is_open(obj))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [name for name in self.fields if name != self.told]

    def get_actions_submit_line(self, request: HttpRequest, object_id: Any) -> list[Any]:
        row = self.get_object(request, str(object_id))
        if row is None or not self.has_change_permission(request, row):
            return []
        return super().get_actions_submit_line(request, object_id)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        only_steps = {"show_save": False, "show_save_and_continue": False}
        return super().changeform_view(
            request, object_id, form_url, {**(extra_context or {}), **only_steps}
        )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Take the step whose button was pressed; what was told goes with it."""
        for step in self.get_actions_submit_line(request, obj.pk):
            if step.action_name in request.POST:
                step.method(request, obj)
