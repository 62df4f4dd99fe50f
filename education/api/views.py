"""The library over HTTP: public reading, search, and what fits one patient."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.scopes import Scope
from core.api.permissions import Public
from core.api.renderers import JSONRenderer
from core.areas import Area
from core.errors import FieldError, InvalidInput, NotFound
from education import library
from education.api import serializers
from education.articles import AUDIENCES, LANGUAGES
from education.http import Prepared, answer, asked_language, served_language, wants_prognosis
from education.links import article_href
from education.pages import LANGUAGE_FALLBACK, article_body, card, page_href
from education.selectors import fitting, profile_of, search
from patients.api.views import PatientView

_LANG = OpenApiParameter("lang", str, description="en or es; else Accept-Language, else English.")
_AUDIENCE = OpenApiParameter(
    "audience", str, enum=AUDIENCES, description="Only texts for these readers and for all."
)
_PROGNOSIS = OpenApiParameter(
    "prognosis", str, enum=["show"], description="Show the sections about outlook as well."
)


def _prepared(body: dict[str, Any]) -> Prepared:
    return Prepared.of(JSONRenderer().render(body), "application/json")


def _audiences(request: Request) -> frozenset[str]:
    wanted = request.query_params.get("audience")
    if wanted is None:
        return frozenset(AUDIENCES)
    if wanted not in AUDIENCES:
        raise InvalidInput(errors=(FieldError("audience", "invalid", ", ".join(AUDIENCES)),))
    return frozenset({wanted, "all"})


class PublicView(APIView):
    """Readable by anybody, and the same for everybody: no account is looked at."""

    permission_classes = (Public,)
    authentication_classes = ()


class TopicsView(PublicView):
    """Every published article, by section."""

    @extend_schema(
        operation_id="education_topics",
        parameters=[_LANG, _AUDIENCE],
        responses=serializers.TopicsSerializer,
        auth=[],
    )
    def get(self, request: Request) -> HttpResponse:
        asked = asked_language(request)
        audiences = _audiences(request)
        published = library.current()

        def make() -> Prepared:
            language = served_language(asked)
            sections: dict[str, list[dict[str, Any]]] = {}
            for entry in published.readable(language):
                if entry.file.audience in audiences:
                    sections.setdefault(entry.file.section, []).append(card(entry, language))
            shown = [page for pages in sections.values() for page in pages]
            foreign = any(page["language"] != asked for page in shown)
            return _prepared(
                {
                    "language": language,
                    "sections": [
                        {"section": name, "articles": pages} for name, pages in sections.items()
                    ],
                    "warnings": [LANGUAGE_FALLBACK] if foreign else [],
                }
            )

        if asked in LANGUAGES:
            return answer(request, published.kept(("topics", asked, audiences), make))
        return answer(request, make())


class ArticleView(PublicView):
    """One published article: text, sections, sources, who reviewed it."""

    @extend_schema(
        operation_id="education_article",
        parameters=[_LANG, _PROGNOSIS],
        responses=serializers.ArticleSerializer,
        auth=[],
    )
    def get(self, request: Request, slug: str) -> HttpResponse:
        asked, prognosis = asked_language(request), wants_prognosis(request)
        language = served_language(asked)
        published = library.current()
        entry = published.at(slug, language)
        if entry is None:
            raise NotFound()

        def make() -> Prepared:
            return _prepared(
                article_body(published, entry, language=language, asked=asked, prognosis=prognosis)
            )

        if asked in LANGUAGES:
            return answer(request, published.kept(("article", slug, asked, prognosis), make))
        return answer(request, make())


class SearchView(PublicView):
    """Articles on the words of a query, each with the section that fits best."""

    @extend_schema(
        operation_id="education_search",
        parameters=[
            OpenApiParameter("q", str, required=True, description="Up to 200 characters."),
            _LANG,
            _AUDIENCE,
        ],
        responses=serializers.SearchSerializer,
        auth=[],
    )
    def get(self, request: Request) -> HttpResponse:
        asked = asked_language(request)
        language = served_language(asked)
        hits = search(
            request.query_params.get("q", ""), language=language, audiences=_audiences(request)
        )
        items = [
            {
                "topic": hit.topic,
                "slug": hit.slug,
                "title": hit.title,
                "summary": hit.summary,
                "audience": hit.audience,
                "language": hit.language,
                "anchor": hit.anchor,
                "heading": hit.heading,
                "excerpt_html": hit.excerpt_html,
                "href": article_href(hit.slug, language, hit.anchor),
                "page": page_href(hit.slug, language, hit.anchor),
            }
            for hit in hits
        ]
        foreign = any(hit.language != asked for hit in hits)
        return answer(
            request,
            _prepared(
                {
                    "items": items,
                    "language": language,
                    "warnings": [LANGUAGE_FALLBACK] if foreign else [],
                }
            ),
        )


class FittingView(PatientView):
    """The articles that fit what is recorded about her, those about her facts first."""

    area = Area.EDUCATION
    operation = "education.fitting"
    resource = "ArticleVersion"
    scopes = {"GET": Scope.EDUCATION_READ}

    @extend_schema(operation_id="patient_education", responses=serializers.FittingSerializer)
    def get(self, request: Request) -> Response:
        language = served_language(self.viewer.language)
        profile = profile_of(self.viewer, now=self.now)
        found = fitting(profile, language=language)
        self.seen = [item.entry.version_id for item in found]
        foreign = any(item.entry.file.language != self.viewer.language for item in found)
        return Response(
            {
                "items": [
                    {**card(item.entry, language), "reasons": list(item.reasons)} for item in found
                ],
                "next": None,
                "as_of": self.now,
                "warnings": [LANGUAGE_FALLBACK] if foreign else [],
            }
        )
