"""COPY fills real tables, and leaves them as guarded as they were."""

from datetime import UTC, datetime

import psycopg
import pytest
from django.conf import settings
from django.db import connections
from django.test import Client

from appointments.models import ResourceClaim
from bench.desk import Desk
from bench.loader.copying import Lines
from bench.loader.results import PANEL, RESULTS_A_REPORT, panel_values
from bench.loader.world import Size, World, load
from bench.rows import all_rows
from core.db import identity, system
from core.ids import uuid7
from core.models import Event
from labs.models import Observation

SMALL = Size(patients=30, results=2_000, practitioners=2)

# Definitions are compared by their parts: PostgreSQL words a cast in a condition differently when
# it reads its own text again.
_GUARDS = """
SELECT c.relname, c.relforcerowsecurity,
  (SELECT array_agg(ROW(k.conname, k.contype, k.conkey, k.condeferrable, k.convalidated)::text
     ORDER BY k.conname) FROM pg_constraint k WHERE k.conrelid = c.oid),
  (SELECT array_agg(ROW(i.indexrelid::regclass, i.indisunique, i.indkey, i.indoption,
     i.indpred IS NULL, i.indisvalid)::text ORDER BY i.indexrelid::regclass::text)
   FROM pg_index i WHERE i.indrelid = c.oid)
FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY 1
"""


def owner_url() -> str:
    parameters = connections[settings.OWNER_DATABASE].settings_dict
    return "postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**parameters)


def guards() -> list[tuple]:
    with psycopg.connect(owner_url()) as connection:
        return connection.execute(_GUARDS).fetchall()


@pytest.fixture
def loaded(transactional_db: None) -> tuple[World, list[tuple]]:
    before = guards()
    return load(SMALL, now=datetime.now(UTC), owner_url=owner_url()), before


def test_panel_values_run_from_low_to_high_with_the_precision_of_low() -> None:
    values = panel_values("0.3", "3.4")
    assert (values[0], values[-1], len(values)) == ("0.3", "3.4", 24)


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_a_load_is_served_to_its_patients_and_leaves_every_guard(
    loaded: tuple[World, list[tuple]],
) -> None:
    world, before = loaded
    assert guards() == before
    with identity(system("lab-intake")):
        assert Observation.objects.count() == SMALL.results == world.results.count
        states = set(Observation.objects.values_list("state", flat=True))
    assert {"IN_RANGE", "HIGH", "LOW"} <= states
    with identity(system("booking")):
        assert ResourceClaim.objects.count() == world.schedules.bookings > 0
    desk = Desk(world)
    for row in all_rows(world, desk):
        request = row.requests[0] if row.fresh is None else next(row.fresh)
        assert _status(request) == row.status, row.title
    assert len(PANEL) == RESULTS_A_REPORT


def _status(request: str) -> int:
    head, _, body = request.partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    method, path, _version = first.split(" ")
    headers = dict(line.split(": ", 1) for line in lines)
    answer = Client(headers=headers).generic(
        method, path, body, content_type="application/json", headers=headers
    )
    return answer.status_code


@pytest.mark.django_db
def test_a_template_keeps_text_that_copy_would_misread() -> None:
    with psycopg.connect(owner_url()) as connection:
        lines = Lines(Event, connection)
    event = Event(
        type="tab\tline\nback\\slash 100%", version=1, subject_id=uuid7(), payload={"a": 1}
    )
    template = lines.template(event, varying=("id", "occurred_at"))
    line = template % {"id": "ID", "occurred_at": "AT"}
    assert "tab\\tline\\nback\\\\slash 100%" in line
    assert line.count("\t") == len(lines.columns) - 1
    assert line.endswith("\n")


@pytest.mark.django_db
def test_a_template_refuses_a_column_that_does_not_exist() -> None:
    with psycopg.connect(owner_url()) as connection:
        lines = Lines(Event, connection)
    with pytest.raises(ValueError, match="has no column colour"):
        lines.template(Event(), varying=("colour",))
