"""How many statements a page costs, counted in PostgreSQL as the run-time role."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.cast import make_cast
from tests.conftest import NOW
from tests.labs.conftest import LABS
from tests.labs.results import COLLECTED, USUAL, Line, file_report, make_laboratory
from tests.tokens import Api, api_of

# Real commits: inside a test's own transaction an identity costs one statement more.
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])
FRAME = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE SAVEPOINT")


def statements(api: Api, path: str, params: dict[str, str] | None = None) -> list[str]:
    """Return every statement of one warm request, the token check included."""
    assert api.get(path, params).status_code == 200
    with CaptureQueriesContext(connection) as captured:
        assert api.get(path, params).status_code == 200
    return [q["sql"] for q in captured.captured_queries if not q["sql"].startswith(FRAME)]


def test_pages_stay_within_their_statements_whatever_the_number_of_rows() -> None:
    cast = make_cast(NOW)
    laboratory = make_laboratory(cast.clinic)
    anna = api_of(cast.anna_user, LABS)
    few = [Line("alt", "20")]
    many = [Line(key, "20", more={"sub_id": str(n)}) for n in range(3) for key in USUAL][:20]
    small = file_report(cast.anna, laboratory, few)
    latest = {"limit": "50"}
    counts_small = {
        "results": len(statements(anna, "patients/me/results", latest)),
        "report": len(statements(anna, f"patients/me/reports/{small.id}")),
        "reports": len(statements(anna, "patients/me/reports", latest)),
        "trend": len(statements(anna, "patients/me/analytes/alt/trend")),
    }
    big = file_report(cast.anna, laboratory, many)
    assert len(many) == 20
    for day in range(1, 4):
        file_report(cast.anna, laboratory, many, at=COLLECTED - timedelta(days=day))
    page = anna.get("patients/me/results", latest).json()
    assert len(page["items"]) == 50
    assert page["next"] is not None
    counts_big = {
        "results": len(statements(anna, "patients/me/results", latest)),
        "report": len(statements(anna, f"patients/me/reports/{big.id}")),
        "reports": len(statements(anna, "patients/me/reports", latest)),
        "trend": len(statements(anna, "patients/me/analytes/alt/trend")),
    }
    assert counts_big == counts_small
    assert counts_big["results"] <= 5
    assert counts_big["report"] <= 6
    assert counts_big["reports"] <= 5
    assert counts_big["trend"] <= 5
