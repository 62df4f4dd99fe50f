"""The page of an article for a browser: no sign-in, and nothing loaded from elsewhere."""

from csp.decorators import csp
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from core.errors import InvalidInput
from education import library
from education.articles import LANGUAGES
from education.http import Prepared, answer, asked_language, served_language, wants_prognosis
from education.pages import CONTENT_POLICY, article_page


@require_safe
@csp(CONTENT_POLICY)  # type: ignore[arg-type]
def learn(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the article at `slug`; `?lang=` and `?prognosis=show` as in the API."""
    try:
        asked = asked_language(request)
    except InvalidInput as error:
        raise Http404 from error
    language, prognosis = served_language(asked), wants_prognosis(request)
    published = library.current()
    entry = published.at(slug, language)
    if entry is None:
        raise Http404

    def make() -> Prepared:
        page = article_page(published, entry, language=language, asked=asked, prognosis=prognosis)
        return Prepared.of(page.encode(), "text/html; charset=utf-8")

    if asked in LANGUAGES:
        return answer(request, published.kept(("page", slug, asked, prognosis), make))
    return answer(request, make())
