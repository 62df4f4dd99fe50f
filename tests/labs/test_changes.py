"""What changed in her results since a cursor: new, corrected, gone, and nothing lost."""

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connections

from core import feed
from core.db import identity, system
from core.ids import new_id
from tests.cast import Cast, make_cast
from tests.conftest import NOW
from tests.core.test_feed import settle
from tests.labs.messages import Obr, Obx, laboratory, oru, send
from tests.tokens import Api, api_of

PATH = "patients/me/changes"
READS = "labs.read"


def changes(api: Api, since: str | None = None) -> dict[str, Any]:
    params = {"area": "labs", **({"since": since} if since else {})}
    answer = api.get(PATH, params)
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body


def told(page: dict[str, Any]) -> list[tuple[str, str]]:
    return [(line["resource"], line["kind"]) for line in page["items"]]


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_a_result_comes_is_corrected_and_goes(now: datetime) -> None:
    cast = make_cast(now)
    laboratory(cast.clinic)
    anna = api_of(cast.anna_user, READS)
    start = changes(anna)
    assert start["items"] == []
    send(oru(Obr([Obx("31")])), now)
    settle()
    first = changes(anna, start["next"])
    assert sorted(told(first)) == [("DiagnosticReport", "upsert"), ("Observation", "upsert")]
    send(oru(Obr([Obx("33", status="C")], resulted="20261120112500+0100")), now)
    settle()
    second = changes(anna, first["next"])
    assert ("Observation", "gone") in told(second)
    assert ("Observation", "upsert") in told(second)
    came = next(i for i in first["items"] if i["resource"] == "Observation")
    went = next(i for i in second["items"] if i["kind"] == "gone")
    assert went["resource_id"] == came["resource_id"]
    send(oru(Obr([Obx("33", status="W")], resulted="20261120122500+0100")), now)
    settle()
    third = changes(anna, second["next"])
    assert set(told(third)) == {("DiagnosticReport", "gone"), ("Observation", "gone")}
    assert changes(anna, third["next"])["items"] == []
    # The cursor of an earlier answer gives the same again.
    assert told(changes(anna, first["next"]))[: len(told(second))] == told(second)


def record(cast: Cast, resource_id: Any) -> None:
    feed.record_change(
        patient_id=cast.anna.pk,
        area="labs",
        resource="Observation",
        resource_id=resource_id,
        kind="upsert",
        now=NOW,
    )


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_a_slow_transaction_is_not_lost_when_a_later_one_commits_first(now: datetime) -> None:
    cast = make_cast(now)
    anna = api_of(cast.anna_user, READS)
    start = changes(anna)["next"]
    slow, quick = new_id(), new_id()
    written, may_commit = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with identity(system("lab-intake")):
                record(cast, slow)
                written.set()
                assert may_commit.wait(30)
        finally:
            connections["default"].close()

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert written.wait(30)
        with identity(system("lab-intake")):
            record(cast, quick)
        meanwhile = changes(anna, start)
        assert meanwhile["items"] == []
    finally:
        may_commit.set()
        thread.join(30)
    settle()
    found = changes(anna, meanwhile["next"])["items"]
    assert {line["resource_id"] for line in found} == {str(slow), str(quick)}


@pytest.mark.django_db
def test_a_cursor_is_of_one_reader_one_area_and_cannot_be_made(cast: Cast) -> None:
    anna = api_of(cast.anna_user, READS)
    cursor = changes(anna)["next"]
    for api, path in (
        (api_of(cast.brigid.user, READS), PATH),
        (api_of(cast.dora, READS), f"patients/{cast.anna.pk}/changes"),
        (api_of(cast.anna_user, "labs.read symptoms.read"), PATH),
    ):
        answer = api.get(path, {"area": "labs", "since": cursor})
        assert (answer.status_code, answer.json()["code"]) == (422, "since-invalid")
    for wrong in ("made-up", cursor[:-1], cursor + "x", "\u0663"):
        answer = anna.get(PATH, {"area": "labs", "since": wrong})
        assert (answer.status_code, answer.json()["code"]) == (422, "since-invalid")


@pytest.mark.django_db
@pytest.mark.parametrize(("seconds", "status"), [(-1, 200), (0, 200), (1, 410)])
def test_after_ninety_days_she_reads_the_list_again(cast: Cast, seconds: int, status: int) -> None:
    with time_machine.travel(NOW, tick=False):
        cursor = changes(api_of(cast.anna_user, READS))["next"]
    with time_machine.travel(NOW + timedelta(days=90, seconds=seconds), tick=False):
        answer = api_of(cast.anna_user, READS).get(PATH, {"area": "labs", "since": cursor})
    assert answer.status_code == status
    if status == 410:
        assert answer.json()["code"] == "since-expired"
