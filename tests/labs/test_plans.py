"""How PostgreSQL runs the hot reads, on a loaded store, as the run-time role with row security on.

Explained are the very statements that the API prepared on its connection, by the plan that serves
whatever values come (`plan_cache_mode=force_generic_plan`, as in production).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection, connections

from accounts.models import User
from bench.loader.world import Size, World, load
from core.db import Identity, identity
from patients.viewer import Reach, patient_viewer
from tests.tokens import Api

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

SIZE = Size(patients=150, results=40_000, practitioners=12)
# What grows with patients and years, and is loaded here.
LOADED = {
    "core_attachment",
    "labs_document",
    "labs_observation",
    "labs_diagnosticreport",
    "appointments_resourceclaim",
    "appointments_patientclaim",
    "appointments_appointment",
    "patients_patient",
    "patients_enrolment",
    "patients_profilefact",
}
# What grows too, but is empty here: an index has to fit, were it full.
GROWING = LOADED | {
    "labs_analytebaseline",
    "labs_comment",
    "labs_derivedobstacle",
    "labs_releasehold",
    "labs_reportseen",
    "labs_review",
}
# By patient, practitioner or room; or one row by its id.
LED = re.compile(r"\((patient_id|resource_id|attachment_id|id) = ")
SCANS = {"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Heap Scan"}


# A file in each report: a plan for an empty table says nothing of a full one.
DOCUMENTS = """
WITH file AS (
  SELECT o.id AS observation_id, o.patient_id, o.report_id, gen_random_uuid() AS attachment_id
  FROM labs_observation o WHERE o.position = 1
), stored AS (
  INSERT INTO core_attachment
    (id, patient_id, area, media_type, size, sha256, content, stored_at)
  SELECT attachment_id, patient_id, 'labs', 'application/pdf', 1, repeat('0', 64), '', now()
  FROM file)
INSERT INTO labs_document
  (id, patient_id, report_id, observation_id, attachment_id, position, title, filed_at)
SELECT gen_random_uuid(), patient_id, report_id, observation_id, attachment_id, 1, 'File', now()
FROM file
"""
FACTS = """
INSERT INTO patients_profilefact
  (id, patient_id, kind, code, result, detail, starts_on, source, recorded_at)
SELECT gen_random_uuid(), p.id, 'treatment', 'code-' || n, 'present', '', date '2025-01-01', 'test',
  now()
FROM patients_patient p CROSS JOIN generate_series(1, 12) n
"""


@dataclass(frozen=True)
class Node:
    """One node of a plan. `inside`: part of a sub-select, which looks at one row's neighbours."""

    plan: dict[str, Any]
    inside: bool

    @property
    def kind(self) -> str:
        return str(self.plan["Node Type"])

    @property
    def table(self) -> str:
        return str(self.plan.get("Relation Name", ""))

    @property
    def index_condition(self) -> str:
        """Return what the index is entered by, for a bitmap that of its index below."""
        below = [child.get("Index Cond", "") for child in _leaves(self.plan)]
        return str(self.plan.get("Index Cond") or " ".join(below))


def _leaves(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for child in plan.get("Plans", ()):
        yield child
        yield from _leaves(child)


def nodes(plan: dict[str, Any], inside: bool = False) -> Iterator[Node]:
    inside = inside or "Subplan Name" in plan
    yield Node(plan, inside)
    for child in plan.get("Plans", ()):
        yield from nodes(child, inside)


@pytest.fixture
def world(transactional_db: None) -> World:
    parameters = connections[settings.OWNER_DATABASE].settings_dict
    url = "postgresql://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**parameters)
    loaded = load(SIZE, now=datetime.now(UTC), owner_url=url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(DOCUMENTS)
        connection.execute(FACTS)
        connection.execute("ANALYZE core_attachment, labs_document, patients_profilefact")
    return loaded


def person_of(world: World) -> Identity:
    person = world.people[0]
    reach = Reach(person.patient_id, "patient", frozenset(), "en", "UTC")
    user = User.objects.get(pk=person.user_id)
    return patient_viewer(user=user, reach=reach, token_scopes=None).identity


def explained(world: World, path: str, *, table: str, full: bool) -> list[list[Node]]:
    """Ask the API, and return the plan of each statement that it prepared about `table`.

    `full`: plan as if every table were too big to be read through.
    """
    connection.close()
    answer = Api(world.people[0].token).get(f"patients/me/{path}")
    assert answer.status_code == 200, answer.content
    with identity(person_of(world)), connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('plan_cache_mode'), row_security_active(%s)", [table]
        )
        assert cursor.fetchone() == ("force_generic_plan", True)
        if full:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("DISCARD PLANS")
        cursor.execute(
            "SELECT name, cardinality(parameter_types) FROM pg_prepared_statements "
            "WHERE statement LIKE %s AND statement LIKE '%%SELECT%%'",
            [f"%{table}%"],
        )
        prepared = cursor.fetchall()
        assert prepared, f"nothing was prepared about {table}"
        plans = []
        for name, given in prepared:
            nothing = f"({', '.join(['NULL'] * given)})" if given else ""
            cursor.execute(f'EXPLAIN (FORMAT JSON) EXECUTE "{name}"{nothing}')
            plans.append(list(nodes(cursor.fetchone()[0][0]["Plan"])))
    return plans


def reads(world: World) -> dict[str, tuple[str, str]]:
    """Return the hot reads: address, and the table that they are about."""
    supply, heavy = world.schedules, world.people[0].patient_id
    day = supply.days[0]
    return {
        "latest 20": ("results", "labs_observation"),
        "latest 50": ("results?limit=50", "labs_observation"),
        "one report": (f"reports/{world.results.reports[heavy]}", "labs_observation"),
        "five-year trend": (
            f"analytes/{world.results.trend_analyte}/trend?years=5",
            "labs_observation",
        ),
        "openings": (
            f"openings?visit_type={supply.visit_type_id}&schedule={supply.schedule_ids[0]}"
            f"&from={day}&to={day}",
            "appointments_resourceclaim",
        ),
    }


def test_hot_reads_enter_every_big_table_by_an_index_of_whom_they_are_about(world: World) -> None:
    for read, (path, table) in reads(world).items():
        for full, tables in ((False, LOADED), (True, GROWING)):
            plans = explained(world, path, table=table, full=full)
            scans = [n for plan in plans for n in plan if n.table in tables and n.kind in SCANS]
            assert table in {scan.table for scan in scans}, read
            for scan in scans:
                said = f"{read}: {scan.kind} of {scan.table} by {scan.index_condition!r}"
                assert scan.kind != "Seq Scan", said
                assert LED.search(scan.index_condition), said


def test_no_hot_read_sorts_a_history_where_an_index_has_the_order(world: World) -> None:
    sorts: dict[str, list[tuple[str, list[str]]]] = {}
    shown: dict[str, list[str]] = {}
    for read, (path, table) in reads(world).items():
        plans = explained(world, path, table=table, full=False)
        outer = [node for plan in plans for node in plan if not node.inside]
        sorts[read] = [(n.kind, n.plan["Sort Key"]) for n in outer if "Sort Key" in n.plan]
        shown[read] = [n.plan.get("Index Name", "") for n in outer if n.table == table]
    assert sorts["latest 20"] == sorts["latest 50"] == sorts["openings"] == []
    assert shown["latest 20"] == shown["latest 50"] == ["observation_latest"]
    # The results of one report, and those of one instant, are few.
    ((kind, keys),) = sorts["one report"]
    assert (kind, keys[0]) == ("Sort", 'labs_observation."position"')
    assert shown["one report"] == ["observation_of_report"]
    ((kind, keys),) = sorts["five-year trend"]
    assert (kind, keys[0]) == ("Incremental Sort", "labs_observation.effective_at")
    assert shown["five-year trend"] == ["observation_series"]
