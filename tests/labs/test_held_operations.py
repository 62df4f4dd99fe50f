"""REL-2, generated: every operation says the same, byte for byte, with and without a held result.

The operations are walked from the URL resolver; an address, a parameter or a way of writing that
`tests/labs/operations.py` does not know fails by its name.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import transaction

from accounts.scopes import Scope
from appointments.models import Appointment
from core.clock import utc_now
from core.db import identity, system
from core.events.outbox import deliver_due
from core.ids import new_id
from labs.models import DiagnosticReport, Document, Observation
from labs.services import releasing, telling
from labs.telling_rules import When, Wish
from notifications.models import Notification
from notifications.purposes import Purpose
from notifications.services import drain
from patients.models import CaregiverGrant
from symptoms.services import create_plan, load_questionnaire, plan_check_ins
from symptoms.services.questionnaires import SHIPPED
from tests.appointments.factories import book, surgery
from tests.cast import Cast
from tests.core.test_feed import settle
from tests.labs import operations
from tests.labs.files import ed
from tests.labs.messages import Obx, laboratory
from tests.labs.operations import Read
from tests.labs.releasing import MARKER, deliver, place, rule_for_markers, the_report, the_result
from tests.notifications.conftest import Post, post
from tests.symptoms.conftest import check_ins
from tests.tokens import Api, api_of, viewer_of

__all__ = ["post"]

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

SCOPES = " ".join(sorted(str(scope) for scope in Scope if not str(scope).startswith("staff")))
CANARY = "777.125"
HEADERS = ("Content-Type", "Content-Length", "ETag", "Last-Modified", "Link", "Vary",
           "Content-Disposition", "Cache-Control", "Content-Language")  # fmt: skip
NARROWING = {"analyte", "limit", "since"}
ASKED = {"X-Request-Id": "the-same-request"}


@dataclass
class World:
    """Anna and her caregiver, who may do everything, with rows for every address."""

    cast: Cast
    at: datetime
    ids: dict[str, list[str]]
    since: dict[str, str] = field(default_factory=dict)
    wrong: list[Any] = field(default_factory=list)
    parameters: dict[str, set[str]] = field(default_factory=operations.documented)

    def people(self) -> Iterator[tuple[str, Api, str]]:
        yield "anna", api_of(self.cast.anna_user, SCOPES), "me"
        yield "dora", api_of(self.cast.dora, SCOPES), str(self.cast.anna.id)

    def said(self, *, thorough: bool = True) -> dict[str, Any]:
        """Return every answer, each from the same state of the store and at the same time.

        `thorough`: with every value of every parameter, else with those that page and narrow.
        What a reading leaves behind (audit, copies counted) is rolled back after it.
        """
        found: dict[str, Any] = {}
        with time_machine.travel(self.at, tick=False):
            for who, api, record in self.people():
                for route, how in operations.all_reads():
                    if who == "anna" or not how.hers:
                        ids = {**self.ids, "patient_ref": [record]}
                        found |= self._of(who, api, ids, route, how, thorough=thorough)
        return found

    def _of(
        self,
        who: str,
        api: Api,
        ids: dict[str, list[str]],
        route: str,
        how: Read,
        *,
        thorough: bool,
    ) -> dict[str, Any]:
        found = {}
        known = self.parameters.get(operations.template(route), set())
        if not thorough:
            known = known & NARROWING
        for address in operations.addresses(route, {**ids, "format": list(how.formats)}):
            tail = address.removeprefix("api/v1/")
            for query in self._queries(who, known, how):
                with transaction.atomic():
                    answer = api.get(tail, query, **ASKED)
                    said = [_bytes(answer, how)]
                    transaction.set_rollback(True)
                with transaction.atomic():
                    said += [] if how.unread else self._again(api, tail, query, answer)
                    transaction.set_rollback(True)
                with transaction.atomic():
                    said += self._further(api, tail, query, answer)
                    transaction.set_rollback(True)
                if query == self._always(how) and answer.status_code != how.status:
                    self.wrong.append((who, tail, answer.status_code, answer.content[:300]))
                found[f"{who} {tail} {query}"] = said
        return found

    def _queries(self, who: str, known: set[str], how: Read) -> Iterator[dict[str, str]]:
        always = self._always(how)
        yield always
        for name in sorted(known):
            for value in self._values(who, name, how):
                yield {**always, name: value}

    def _always(self, how: Read) -> dict[str, str]:
        return {name: value or self.ids[name][0] for name, value in how.always.items()}

    def _values(self, who: str, name: str, how: Read) -> tuple[str, ...]:
        if name == "since":
            return (self.since[who],)
        if name in operations.FOLLOWED:
            return ()
        return how.values.get(name, operations.VALUES[name])

    @staticmethod
    def _again(api: Api, tail: str, query: dict[str, str], answer: Any) -> list[Any]:
        """Return whether what a client kept still holds."""
        if "ETag" not in answer.headers:
            return []
        kept = api.get(tail, query, **{**ASKED, "If-None-Match": answer.headers["ETag"]})
        return [kept.status_code, kept.content]

    @staticmethod
    def _further(api: Api, tail: str, query: dict[str, str], answer: Any) -> list[Any]:
        """Return the pages after the first, where one row was asked for."""
        said = []
        while query.get("limit") == "1" and answer.status_code == 200 and answer.json()["next"]:
            following = {**query, "cursor": answer.json()["next"]}
            answer = api.get(tail, following, **ASKED)
            assert answer.status_code == 200
            said.append(_bytes(answer, Read()))
        return said


def _bytes(answer: Any, how: Read) -> Any:
    content = answer.getvalue() if answer.streaming else answer.content
    headers = {name: answer.headers.get(name) for name in HEADERS}
    if how.unread:
        del headers["ETag"], headers["Content-Length"]
    for name in how.unread:
        content = re.sub(rb'"%b": ?"[^"]*"' % name.encode(), b"", content)
    return answer.status_code, headers, content


@pytest.fixture
def world(cast: Cast, post: Post) -> World:
    now = utc_now()
    with identity(system("registration")):
        CaregiverGrant.objects.update(scopes=[str(scope) for scope in Scope])
    laboratory(cast.clinic)
    anna = viewer_of(cast.anna_user)
    with identity(anna.identity):
        wishes = dict.fromkeys(telling.wishes_of(cast.anna.id), Wish(When.NOW))
        telling.choose(viewer=anna, wishes=wishes, now=now)
    deliver(now, Obx("31"), Obx("28", **MARKER), ed(), filler="FL0")
    deliver(now, Obx("33"), filler="FL1", collected="20261121081500+0100")
    visit = _appointment(cast, now)
    ids = {
        "report_id": [str(row.id) for row in _of(DiagnosticReport)],
        "document_id": [str(row.id) for row in _of(Document)],
        "analyte_key": ["alt", "ca_15_3"],
        "symptom_key": ["fatigue"],
        "slug": ["tumour-markers"],
        "section": ["contact"],
        "appointment_id": [str(visit.id)],
        "visit_type": [str(visit.visit_type_id)],
        "check_in_id": [_check_in(cast, now)],
    }
    work_off()
    made = World(cast, utc_now() + timedelta(minutes=1), ids)
    settle()
    for who, api, record in made.people():
        answer = api.get(f"patients/{record}/changes", {"area": "labs"})
        made.since[who] = answer.json()["next"]
    return made


def _of(model: Any) -> list[Any]:
    with identity(system("lab-intake")):
        return list(model.objects.order_by("id"))


def _appointment(cast: Cast, now: datetime) -> Appointment:
    house = surgery(cast.clinic)
    day = (now + timedelta(days=7 + (7 - now.isoweekday()) % 7 + 1)).date()
    return book(cast.anna_user, house.opening(9, on=day), now)


def _check_in(cast: Cast, now: datetime) -> str:
    load_questionnaire(SHIPPED[0], now=now)
    yesterday = now - timedelta(days=1)
    with identity(system("check-ins")):
        create_plan(
            patient_id=cast.anna.id,
            questionnaire_key="weekly-general",
            organization_id=cast.clinic.id,
            iso_weekday=yesterday.isoweekday(),
            hour=10,
            zone="Europe/Berlin",
            starts_on=yesterday.date(),
            now=yesterday,
        )
    plan_check_ins(now=now)
    return str(check_ins()[0].id)


def work_off() -> None:
    """Let every background tick do what it would do by now."""
    now = utc_now()
    releasing.announce_due(now=now)
    while deliver_due(now=now):
        pass
    drain(now=now)


def told(post: Post) -> tuple[list[Any], list[Any]]:
    """Return the ledger of notices and the mails that left."""
    with identity(system("notifications")):
        rows = list(Notification.objects.order_by("id").values_list())
    return rows, list(post.received)


# --- what may be held, and how ------------------------------------------------------------------

Arrival = Callable[[World, dict[str, Any]], None]
OWN, JOINED = "a report of its own", "a line more in a shown report"
SHAPES: dict[str, dict[str, Any]] = {
    OWN: {"filler": "FL2", "collected": "20261121101500+0100"},
    JOINED: {"filler": "FL1", "collected": "20261121081500+0100"},
}
LINE = Obx(CANARY, sub_id="2", **MARKER)


def by_rule(world: World, shape: dict[str, Any]) -> None:
    rule_for_markers(world.cast, amount=720)
    deliver(utc_now(), LINE, **shape)


def not_yet_due(world: World, shape: dict[str, Any]) -> None:
    rule_for_markers(world.cast, amount=1)
    deliver(utc_now(), LINE, **shape)


def by_person(world: World, shape: dict[str, Any]) -> None:
    """A clinician keeps it for a week before the rule's hour is over."""
    not_yet_due(world, shape)
    now = utc_now()
    held = the_result("6875-9", value_text=CANARY)
    place(world.cast, the_report(id=held.report_id), now, identity_key=held.identity_key)


def withdrawn(world: World, shape: dict[str, Any]) -> None:
    """It was another's: the laboratory takes it back before the rule lets it out."""
    not_yet_due(world, shape)
    deliver(utc_now(), Obx(CANARY, sub_id="2", status="W", **MARKER), **shape)


def preliminary(world: World, shape: dict[str, Any]) -> None:
    deliver(utc_now(), Obx(CANARY, sub_id="2", status="P", **MARKER), **shape)


def document(world: World, shape: dict[str, Any]) -> None:
    rule_for_markers(world.cast, amount=720, result_class="", loinc="11502-2")
    deliver(utc_now(), ed(b"%PDF-1.4 " + CANARY.encode()), **shape)


HELD: dict[str, Arrival] = {
    "by rule": by_rule,
    "by person": by_person,
    "not yet due": not_yet_due,
    "withdrawn": withdrawn,
    "preliminary": preliminary,
    "a document": document,
}

WAYS = [
    ("by rule", JOINED),
    ("by person", JOINED),
    ("not yet due", OWN),
    ("withdrawn", JOINED),
    ("preliminary", OWN),
    ("a document", OWN),
]


def kept_from_her() -> list[Observation]:
    return [
        row for row in _of(Observation) if row.visible_from is None or row.visible_from > utc_now()
    ]


@pytest.mark.parametrize(("way", "where"), WAYS, ids=[way for way, _ in WAYS])
def test_every_operation_says_the_same_with_and_without_it(
    world: World, post: Post, way: str, where: str
) -> None:
    thorough = way == "by rule"
    before, mails = world.said(thorough=thorough), told(post)
    assert len(mails[1]) >= 2
    HELD[way](world, SHAPES[where])
    work_off()
    assert kept_from_her()
    settle()
    after = world.said(thorough=thorough)
    assert sorted(name for name in before if before[name] != after[name]) == []
    assert before.keys() == after.keys()
    assert told(post) == mails
    assert CANARY not in str(after)
    assert not world.wrong, "\n".join(str(one[:3]) for one in world.wrong)


def test_what_is_held_is_answered_like_what_does_not_exist(world: World) -> None:
    by_rule(world, SHAPES[OWN])
    rule_for_markers(world.cast, amount=720, result_class="", loinc="11502-2", name="files")
    deliver(utc_now(), ed(CANARY.encode()), filler="FL7")
    known = set(world.ids["report_id"])
    held = [str(row.id) for row in _of(DiagnosticReport) if str(row.id) not in known]
    files = [str(row.id) for row in _of(Document) if str(row.id) not in world.ids["document_id"]]
    assert (len(held), len(files)) == (2, 1)
    for _, api, record in world.people():
        for address, found in (("reports/{}", held), ("documents/{}/content", files)):
            absent = api.get(f"patients/{record}/{address.format(new_id())}", None, **ASKED)
            assert absent.status_code == 404
            for one in found:
                answer = api.get(f"patients/{record}/{address.format(one)}", None, **ASKED)
                assert _bytes(answer, Read()) == _bytes(absent, Read())
        absent = api.post(f"patients/{record}/reports/{new_id()}/seen", {}, key=None, **ASKED)
        for one in held:
            answer = api.post(f"patients/{record}/reports/{one}/seen", {}, **ASKED)
            assert _bytes(answer, Read()) == _bytes(absent, Read())
    anna = api_of(world.cast.anna_user, SCOPES)
    until = (utc_now() + timedelta(days=2)).isoformat()
    asked = [
        anna.post("patients/me/hold-requests", {"report_id": str(one), "until": until}, **ASKED)
        for one in (new_id(), *held)
    ]
    assert {answer.status_code for answer in asked} == {404}, asked[0].content
    assert len({answer.content for answer in asked}) == 1


# --- the comparison sees a leak -------------------------------------------------------------------

# Channel: part of the address that must differ as soon as nothing is held.
CHANNELS = {
    "list of reports": "reports {}",
    "list of results": "results {}",
    "paging": "results {'limit': '1'}",
    "filter by analyte": "results {'analyte': 'ca_15_3'}",
    "filter by panel": "reports {'panel': 'tumour_markers'}",
    "trend": "analytes/ca_15_3/trend {}",
    "picture": "analytes/ca_15_3/trend.svg {}",
    "export": "results/export.csv {}",
    "notices": "notifications {}",
    "who looked": "access-log {}",
    "change feed": "changes {'area': 'labs', 'since'",
}


def test_released_it_is_seen_in_every_channel(world: World, post: Post) -> None:
    before, mails = world.said(), told(post)
    deliver(utc_now(), LINE, **SHAPES[OWN])
    work_off()
    settle()
    after = world.said()
    changed = [name for name in before if before[name] != after[name]]
    for channel, part in CHANNELS.items():
        assert [name for name in changed if part in name], channel
    assert [name for name in changed if name.startswith("dora") and "results {}" in name]
    rows, letters = told(post)
    assert len(rows) > len(mails[0])
    assert len(letters) > len(mails[1])


# --- nothing is left out --------------------------------------------------------------------------


def test_every_address_and_parameter_is_known() -> None:
    assert operations.unknown() == []


def test_a_new_operation_fails_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(operations.READS, "/results")
    monkeypatch.delitem(operations.OTHER_READS, "api/v1/me")
    monkeypatch.delitem(operations.VALUES, "panel")
    monkeypatch.delitem(operations.WRITES_THAT_READ, "/telling")
    found = operations.unknown()
    assert f"get {operations.PATIENT}/results" in found
    assert f"put {operations.PATIENT}/telling" in found
    assert "api/v1/me" in found
    assert "api/v1/patients/{patient_ref}/results?panel" in found
    assert len(found) == 5


def test_the_tables_name_only_what_exists() -> None:
    there = {route for route, _ in operations.routes()}
    short = {*operations.READS, *operations.ROWS_WITHOUT_RESULTS, *operations.WRITES_THAT_READ}
    named = {operations.PATIENT + one for one in short}
    assert named | set(operations.OTHER_READS) <= there


def test_apps_said_to_know_no_result_import_none() -> None:
    for app in operations.APPS_WITHOUT_RESULTS:
        assert operations.imports_of(app, "labs") == []


# Channel of REL-2 that the product does not have: what its address would be called.
NOT_THERE = {
    "digest": r"digest",
    "FHIR": r"fhir/R4/.*(patient|\$everything)",
    "staff view as patient": r"view-as|impersonat|hijack",
}


@pytest.mark.parametrize("channel", NOT_THERE)
def test_a_channel_that_does_not_exist_has_no_address(channel: str) -> None:
    assert [r for r, _ in operations.routes() if re.search(NOT_THERE[channel], r, re.I)] == []


def test_no_notice_is_a_digest_and_fhir_is_never_read() -> None:
    assert [str(purpose) for purpose in Purpose if "digest" in str(purpose)] == []
    fhir = [view for route, view in operations.routes() if route.startswith("fhir/")]
    assert fhir
    assert {method for view in fhir for method in operations.methods(view)} == {"post"}
