"""The editors' desk: what is published, what waits, what reviews are due.

Every step goes through `education.services`, which holds the gates and the rule of two people.
"""

from typing import Any

from csp.decorators import csp
from django import forms
from django.contrib import admin, messages
from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminTextareaWidget

from accounts.admin_base import RoleModelAdmin
from accounts.roles import Role
from core.clock import utc_now
from core.errors import InvalidInput, NotFound
from education import library, services
from education.models import ArticleVersion, Topic
from education.pages import CONTENT_POLICY, article_page

_EDITORS = frozenset({Role.CONTENT_EDITOR})
_State = ArticleVersion.State
_STEPS = {
    _State.DRAFT: ("submit", "publish", "discard"),
    _State.IN_REVIEW: ("publish", "give_back"),
    _State.PUBLISHED: ("edit", "retire"),
    _State.RETIRED: ("edit",),
}


class VersionForm(forms.ModelForm):
    """The text of a draft as one file; a fault is shown with its line and the text stays."""

    opened_sha256 = forms.CharField(widget=forms.HiddenInput, required=False)

    class Meta:
        model = ArticleVersion
        fields = ("source", "override_reason")
        widgets = {"source": UnfoldAdminTextareaWidget(attrs={"rows": 40, "spellcheck": "true"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.held_source, self.held_sha256 = self.instance.source, self.instance.source_sha256
        self.fields["opened_sha256"].initial = self.held_sha256

    def clean_source(self) -> str:
        source = str(self.cleaned_data["source"]).replace("\r\n", "\n").rstrip() + "\n"
        try:
            services.readable_text(source=source, version=self.instance)
        except InvalidInput as refused:
            raise forms.ValidationError([error.message for error in refused.errors]) from refused
        return source

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        # A browser sends other line ends, so Django's own list of changed fields is no help.
        self.text_changed = cleaned.get("source", self.held_source) != self.held_source
        if "source" in self.fields and cleaned.get("opened_sha256") != self.held_sha256:
            raise forms.ValidationError(services.EditedMeanwhile.title)
        return cleaned


@admin.register(Topic)
class TopicAdmin(RoleModelAdmin):
    """All topics of the map, written or not."""

    roles = _EDITORS
    list_display = ("key", "title", "section", "published_in")
    list_filter = ("section",)
    search_fields = ("key", "title")
    ordering = ("order",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Topic]:
        published = Q(articles__versions__state=_State.PUBLISHED)
        languages = ArrayAgg("articles__language", filter=published, distinct=True, default=[])
        topics: QuerySet[Topic] = super().get_queryset(request)
        return topics.annotate(languages=languages)

    @display(description="published in")
    def published_in(self, topic: Any) -> str:
        return ", ".join(topic.languages) or "not written yet"


@admin.register(ArticleVersion)
class ArticleVersionAdmin(RoleModelAdmin):
    """Versions of articles; the buttons below the form are the steps that their state allows."""

    roles = _EDITORS
    writable = True
    form = VersionForm
    list_display = (
        *("title", "language", "number", "state_label", "origin", "reading_grade"),
        *("review", "next_review", "audience"),
    )
    list_filter = ("state", "origin", "article__language", "audience", "article__topic__section")
    search_fields = ("title", "slug", "article__topic__key")
    ordering = ("article__topic__order", "article__language", "-number")
    list_select_related = ("article",)
    actions_submit_line = ("submit", "publish", "give_back", "edit", "retire", "discard")
    facts = (
        *("preview", "title", "slug", "summary", "state", "origin", "number", "audience"),
        *("reading_grade", "emergency_box", "review", "next_review", "written_by"),
        *("submitted_at", "published_by", "published_at", "retired_at"),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        # A new text begins as a draft from a version, or as a file of the repository.
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        writable = obj is not None and obj.state == _State.DRAFT
        open_fields = (
            ("source", "override_reason", "opened_sha256")
            if writable
            else ("override_reason", "body")
        )
        return [("About", {"fields": self.facts}), ("Text", {"fields": open_fields})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        closed = obj is None or obj.state not in (_State.DRAFT, _State.IN_REVIEW)
        return (*self.facts, "body", *(["override_reason"] if closed else []))

    @display(description="language", ordering="article__language")
    def language(self, version: ArticleVersion) -> str:
        return version.article.language

    @display(
        description="state",
        ordering="state",
        label={"Published": "success", "In review": "warning", "Draft": "info"},
    )
    def state_label(self, version: ArticleVersion) -> str:
        return version.get_state_display()

    @display(description="clinical review")
    def review(self, version: ArticleVersion) -> str:
        if not version.reviewed_by:
            return "not yet reviewed by a clinician"
        return f"{version.reviewed_by}, {version.reviewed_on}"

    @display(description="as a patient sees it")
    def preview(self, version: ArticleVersion) -> str:
        address = reverse("admin:education_articleversion_preview", args=[version.pk])
        return format_html('<a href="{}" target="_blank" rel="noopener">open</a>', address)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.preview_view)
        name = "education_articleversion_preview"
        return [path("<uuid:version_id>/preview/", view, name=name), *super().get_urls()]

    @method_decorator(csp(CONTENT_POLICY))
    def preview_view(self, request: HttpRequest, version_id: Any) -> HttpResponse:
        if not self.may_read(request):
            raise NotFound()
        version = get_object_or_404(
            ArticleVersion.objects.select_related("article__topic"), pk=version_id
        )
        entry = library.preview_of(version)
        page = article_page(
            library.current(),
            entry,
            language=entry.file.language,
            asked=entry.file.language,
            prognosis=request.GET.get("prognosis") == "show",
            preview=f"Preview of version {version.number}: {version.get_state_display()}",
        )
        return HttpResponse(page)

    # --- steps ---------------------------------------------------------------------------------

    def get_actions_submit_line(self, request: HttpRequest, object_id: Any) -> list[Any]:
        version = self.get_object(request, str(object_id))
        if version is None or not self.may_write(request):
            return []
        allowed = set(_STEPS[_State(version.state)])
        if version.state == _State.DRAFT:
            allowed.discard("publish" if version.origin == "staff" else "submit")
            if version.upstream_sha256:
                allowed.discard("discard")
        prefix = f"{self.opts.app_label}_{self.opts.model_name}_"
        offered = super().get_actions_submit_line(request, object_id)
        return [step for step in offered if step.action_name.removeprefix(prefix) in allowed]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save the text of a draft, then take the step whose button was pressed."""
        steps = self.get_actions_submit_line(request, obj.pk)
        if form.text_changed:
            services.revise_draft(
                version=obj,
                source=form.cleaned_data["source"],
                actor=request.user,  # type: ignore[arg-type]
                now=utc_now(),
                opened_sha256=form.cleaned_data["opened_sha256"],
            )
        for step in steps:
            if step.action_name in request.POST:
                step.method(request, obj)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        following = getattr(request, "go_on_at", None)
        return (
            HttpResponseRedirect(following) if following else super().response_change(request, obj)
        )

    def _go_on_at(self, request: HttpRequest, page: str, *args: Any, message: str) -> None:
        messages.success(request, message)
        request.go_on_at = reverse(f"admin:education_articleversion_{page}", args=args)  # type: ignore[attr-defined]

    @action(description="Send for review")
    def submit(self, request: HttpRequest, version: ArticleVersion) -> None:
        services.submit_for_review(version=version, now=utc_now())
        self._go_on_at(request, "change", version.pk, message="Sent for review.")

    @action(description="Publish")
    def publish(self, request: HttpRequest, version: ArticleVersion) -> None:
        services.publish(
            version=version,
            actor=request.user,  # type: ignore[arg-type]
            now=utc_now(),
            override_reason=version.override_reason,
        )
        self._go_on_at(request, "change", version.pk, message="Published.")

    @action(description="Give back to the writer")
    def give_back(self, request: HttpRequest, version: ArticleVersion) -> None:
        services.return_to_draft(version=version, now=utc_now())
        self._go_on_at(request, "change", version.pk, message="A draft again.")

    @action(description="Edit as a new draft")
    def edit(self, request: HttpRequest, version: ArticleVersion) -> None:
        draft = services.draft_from(version=version, actor=request.user, now=utc_now())  # type: ignore[arg-type]
        self._go_on_at(request, "change", draft.pk, message="This is a new draft.")

    @action(description="Retire")
    def retire(self, request: HttpRequest, version: ArticleVersion) -> None:
        services.retire(version=version, now=utc_now())
        self._go_on_at(request, "change", version.pk, message="No longer in the library.")

    @action(description="Discard")
    def discard(self, request: HttpRequest, version: ArticleVersion) -> None:
        services.discard_draft(version=version, now=utc_now())
        self._go_on_at(request, "changelist", message="The draft is gone.")
