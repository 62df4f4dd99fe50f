"""The queues of the staff site cost the same however much is stored, and come by an index."""

from datetime import datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core.db import identity, system
from labs import queues
from labs.admin.paging import BoundedPaginator, WaitingFirst
from labs.models import DiagnosticReport, Observation, SendingLaboratory
from tests.cast import Cast, SignIn
from tests.labs.messages import Obx, laboratory, send_one
from tests.labs.results import COLLECTED, Line, file_report, make_laboratory
from tests.labs.reviewing import review

pytestmark = pytest.mark.django_db

# Statements, those of sign-in, identity and audit among them.
PAGES = {
    "front": ("admin:index", "", 20),
    "reports": ("admin:labs_diagnosticreport_changelist", "", 15),
    "unreviewed": ("admin:labs_diagnosticreport_changelist", "?reviewed=no", 14),
    "disagree": (
        "admin:labs_observation_changelist",
        "?discrepancy__exact=1&reviewed=no",
        15,
    ),
    "changed": ("admin:labs_diagnosticreport_changelist", "?changed=yes", 15),
}


def filed(cast: Cast, count: int) -> list[DiagnosticReport]:
    with identity(system("lab-intake")):
        known = SendingLaboratory.objects.first()
    sender = known or make_laboratory(cast.clinic)
    return [
        file_report(
            cast.anna,
            sender,
            [Line("alt", "96", flags=("N",)), Line("ast", "20")],
            at=COLLECTED - timedelta(hours=back),
        )
        for back in range(count)
    ]


def statements(cast: Cast, page: str) -> int:
    name, asked, _ = PAGES[page]
    client = Client()
    client.force_login(cast.nurse)
    client.get(reverse(name) + asked)
    with CaptureQueriesContext(connection) as captured:
        assert client.get(reverse(name) + asked).status_code == 200
    return len(captured)


@pytest.mark.parametrize("page", PAGES)
def test_a_queue_takes_as_many_statements_for_many_rows_as_for_few(cast: Cast, page: str) -> None:
    filed(cast, 2)
    few = statements(cast, page)
    filed(cast, 9)
    assert statements(cast, page) == few
    assert few <= PAGES[page][2]


def plan(rows: object) -> str:
    """Return the plan of a query, of a planner that takes any index it can."""
    with identity(system("lab-intake")), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        return str(rows.explain())  # type: ignore[attr-defined]


def test_what_nobody_reviewed_comes_by_its_index_in_its_order(cast: Cast) -> None:
    filed(cast, 3)
    waiting = queues.unreviewed(DiagnosticReport.objects.all())
    found = plan(waiting.order_by("-worst_rank", "effective_at", "id")[:50])
    assert "Index Scan using report_unreviewed" in found
    assert "Sort" not in found


def test_all_reports_and_results_come_by_an_index_newest_first(cast: Cast) -> None:
    filed(cast, 3)
    newest = plan(DiagnosticReport.objects.order_by("-effective_at", "-id")[:50])
    assert "report_newest" in newest
    current = Observation.objects.current().order_by("-effective_at", "-id")
    assert "observation_newest" in plan(current[:50])
    assert "Sort" not in newest


def test_the_marks_follow_filing_review_and_correction(cast: Cast, now: datetime) -> None:
    (report,) = filed(cast, 1)

    def marks() -> tuple[bool, int]:
        with identity(system("lab-intake")):
            row = DiagnosticReport.objects.get(pk=report.pk)
        return row.awaits_review, row.worst_rank

    assert marks() == (True, 2)
    review(report, cast.nurse, now)
    assert marks() == (False, 2)


def test_filing_asks_for_a_review_until_it_is_all_taken_back(cast: Cast, now: datetime) -> None:
    laboratory(cast.clinic)

    def marks() -> tuple[bool, int]:
        with identity(system("lab-intake")):
            row = DiagnosticReport.objects.get()
        return row.awaits_review, row.worst_rank

    def send_at(minute: int, value: str, status: str = "F", flag: str = "") -> None:
        resulted = f"2026112010{minute:02}00+0100"
        send_one(now, Obx(value, status=status, flag=flag), resulted=resulted)

    send_at(10, "900", flag="HH")
    assert marks() == (True, 3)
    with identity(system("lab-intake")):
        review(DiagnosticReport.objects.get(), cast.nurse, now)
    assert marks() == (False, 3)
    send_at(20, "30", "C")
    assert marks() == (True, 0)
    send_at(30, "30", "W")
    assert marks()[0] is False


@pytest.mark.parametrize(
    ("rows", "count", "words"), [(2, 2, "2"), (3, 3, "3"), (4, 3, "more than 3")]
)
def test_a_page_counts_up_to_its_bound_and_says_when_there_is_more(
    cast: Cast,
    monkeypatch: pytest.MonkeyPatch,
    sign_in: SignIn,
    rows: int,
    count: int,
    words: str,
) -> None:
    monkeypatch.setattr("labs.admin.paging.COUNTED_UP_TO", 3)
    filed(cast, rows)
    with identity(system("lab-intake")):
        found = DiagnosticReport.objects.order_by("-effective_at", "-id")
        assert BoundedPaginator(found, 2).count == count
    page = sign_in(cast.nurse).get(reverse("admin:labs_diagnosticreport_changelist"))
    assert f"{words} {DiagnosticReport._meta.verbose_name_plural}" in page.content.decode()


@pytest.mark.parametrize("waiting", [[], [4], [4, 1, 0], [0, 1, 2, 3, 4]])
def test_what_waits_comes_first_and_every_report_once(cast: Cast, waiting: list[int]) -> None:
    made = filed(cast, 5)
    with identity(system("lab-intake")):
        rows = DiagnosticReport.objects.order_by("-effective_at", "-id")
        pages = WaitingFirst(rows, 2, waiting=[made[number].pk for number in waiting])
        shown = [row.pk for number in pages.page_range for row in pages.page(number).object_list]
    first = {made[number].pk for number in waiting}
    assert set(shown[: len(waiting)]) == first
    assert shown[len(waiting) :] == [row.pk for row in made if row.pk not in first]
