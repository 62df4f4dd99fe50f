"""Pages of lists that may be as large as the store."""

from typing import Any
from uuid import UUID

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from unfold.views import ChangeList

COUNTED_UP_TO = 1000


class BoundedPaginator(Paginator):
    """Counts rows up to a bound: row security looks at each row that is counted.

    Later pages are reached with a filter or a search.
    """

    template_name = "admin/labs/bounded_pages.html"

    @property
    def count(self) -> int:
        return min(self._counted, COUNTED_UP_TO)

    @cached_property
    def _counted(self) -> int:
        rows: QuerySet[Any] = self.object_list.order_by()  # type: ignore[attr-defined]
        return rows[: COUNTED_UP_TO + 1].count()

    @property
    def words(self) -> str:
        """Return how many rows there are, as far as they are counted."""
        more = self._counted > COUNTED_UP_TO
        return f"more than {COUNTED_UP_TO:,}" if more else f"{self._counted:,}"


class WaitingFirst(BoundedPaginator):
    """Reports that somebody must take come before all others, the most serious first.

    What waits is few and found from the work items; the others come by their index, so that no
    page sorts the store.
    """

    def __init__(self, *args: Any, waiting: list[UUID], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        found = list(self.object_list.filter(pk__in=waiting)) if waiting else []  # type: ignore[attr-defined]
        self._waiting = sorted(found, key=lambda row: (-row.worst_rank, row.effective_at, row.pk))

    def page(self, number: Any) -> Page:
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        end = min(start + self.per_page, self.count)
        rows = self._waiting[start:end]
        if len(rows) < end - start:
            others = self.object_list.exclude(pk__in=[row.pk for row in self._waiting])  # type: ignore[attr-defined]
            skip = max(0, start - len(self._waiting))
            rows += others[skip : skip + end - start - len(rows)]
        return Page(rows, number, self)


class PagedList(ChangeList):
    """Takes the rows from the paginator on a single page, too."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.multi_page:
            self.result_list = self.paginator.page(1).object_list
