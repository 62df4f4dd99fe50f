"""A held result leaks through no channel: every answer is the same, byte for byte, without it."""

import json
from datetime import datetime
from typing import Any

import pytest

from core.clock import utc_now
from core.db import identity, system
from core.events.outbox import deliver_due
from core.models import Change, Event
from labs.models import Observation
from labs.services import releasing, telling
from labs.telling_rules import When, Wish
from notifications.models import Notification
from notifications.services import drain
from tests.cast import Cast
from tests.core.test_feed import settle
from tests.labs.messages import Obx, laboratory
from tests.labs.releasing import MARKER, deliver, place, rule_for_markers, the_report
from tests.notifications.conftest import Post, post
from tests.tokens import Api, api_of, viewer_of

__all__ = ["post"]

# Events and notices are handed over in transactions of their own.
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

SCOPES = "labs.read symptoms.read appointments.read education.read"
CANARY = "777.125"
OWN = (
    "reports",
    "reports?limit=1",
    "results",
    "results?limit=1",
    "results?analyte=alt",
    "results?analyte=ca_15_3",
    "results?state=IN_RANGE",
    "results?from=2026-01-01&until=2030-01-01",
    "analytes",
    "analytes/alt/trend",
    "analytes/alt/trend.svg",
    "analytes/ca_15_3/trend",
    "analytes/ca_15_3/trend.svg",
    "notifications",
    "telling",
    "hold-requests",
    "access-log",
    "",
)
CHANGES = ("as_of", "request_id")


class Reader:
    """Reads every channel as Anna and as her caregiver, from one point of the change feed on."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        self.anna = api_of(cast.anna_user, SCOPES)
        self.dora = api_of(cast.dora, SCOPES)
        first = self.anna.get("patients/me/changes", {"area": "labs"}).json()
        self.since = first["next"]

    def everything(self) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for who, api, record in (
            ("anna", self.anna, "me"),
            ("dora", self.dora, str(self.cast.anna.id)),
        ):
            for path in OWN:
                if path == "access-log":
                    continue
                said[f"{who} {path}"] = self._read(api, f"patients/{record}/{path}".rstrip("/"))
            for report in api.get(f"patients/{record}/reports").json()["items"]:
                said[f"{who} report {report['id']}"] = self._read(
                    api, f"patients/{record}/reports/{report['id']}"
                )
        settle()
        feed = self.anna.get("patients/me/changes", {"area": "labs", "since": self.since}).json()
        said["changes"] = (feed["changes"] if "changes" in feed else feed["items"], feed["more"])
        return said

    def looks_of_others(self) -> list[str]:
        """Return what her list of who looked says of everybody but herself and Dora."""
        items = self.anna.get("patients/me/access-log", {"limit": "100"}).json()["items"]
        lines = [json.dumps(item, sort_keys=True) for item in items]
        return [line for line in lines if "The portal" in line or "of the clinic" in line]

    @staticmethod
    def _read(api: Api, path: str) -> tuple[int, str, bytes]:
        answer = api.get(path)
        content = answer.content
        if answer.headers["Content-Type"].startswith(("application/json", "application/problem")):
            parsed = json.loads(content)
            content = json.dumps({k: v for k, v in parsed.items() if k not in CHANGES}).encode()
        return answer.status_code, answer.headers.get("ETag", ""), content


def work_off(now: datetime) -> None:
    """Let every background tick do what it would do by now."""
    releasing.announce_due(now=now)
    deliver_due(now=now)
    drain(now=now)


@pytest.fixture
def world(cast: Cast, post: Post) -> tuple[Cast, datetime]:
    """`post`: the mail server that all of it is handed to; Anna is told at once, at night too."""
    now = utc_now()
    laboratory(cast.clinic)
    anna = viewer_of(cast.anna_user)
    with identity(anna.identity):
        wishes = dict.fromkeys(telling.wishes_of(cast.anna.id), Wish(When.NOW))
        telling.choose(viewer=anna, wishes=wishes, now=now)
    deliver(now, Obx("31"), Obx("28", **MARKER), filler="FL0")
    deliver(now, Obx("33"), filler="FL1", collected="20261121081500+0100")
    work_off(now)
    return cast, now


def ledger() -> tuple[int, int, int]:
    with identity(system("notifications")):
        notices = Notification.objects.count()
    with identity(system("release")):
        changes = Change.objects.filter(area="labs").count()
    with identity(system("events")):
        return notices, changes, Event.objects.filter(type="labs.result.filed").count()


@pytest.mark.parametrize("lines", ["in a report of its own", "in a report that is shown"])
def test_a_result_that_a_rule_keeps_changes_no_byte(
    world: tuple[Cast, datetime], post: Post, lines: str
) -> None:
    cast, _ = world
    rule_for_markers(cast, amount=720)
    reader = Reader(cast)
    before, known, told = reader.everything(), ledger(), reader.looks_of_others()
    posted = len(post.received)
    assert posted >= 2
    own = lines == "in a report of its own"
    deliver(
        utc_now(),
        Obx(CANARY, sub_id="2", **MARKER),
        filler="FL2" if own else "FL1",
        collected="20261121081500+0100",
    )
    with identity(system("lab-intake")):
        assert Observation.objects.filter(value_text=CANARY).count() == 1
    work_off(utc_now())
    after = reader.everything()
    assert {path for path in before if before[path] != after[path]} == set()
    assert before == after
    assert ledger() == known
    assert reader.looks_of_others() == told
    assert len(post.received) == posted
    assert CANARY not in str(after)


def test_a_result_that_a_person_holds_leaves_everything_as_if_it_had_not_come(
    world: tuple[Cast, datetime],
) -> None:
    cast, _ = world
    reader = Reader(cast)
    before, told = reader.everything(), reader.looks_of_others()
    later = utc_now()
    deliver(later, Obx(CANARY), filler="FL2", collected="20261121101500+0100")
    shown = reader.everything()
    assert CANARY in str(shown)
    place(cast, the_report(filler_key__contains="FL2"), later)
    work_off(utc_now())
    after = reader.everything()
    # It was there for a moment: the feed says that something came and is gone, and no more.
    feeds = {path: said.pop("changes") for path, said in (("b", before), ("a", after))}
    for said in (before, after):
        for path in [path for path in said if "notifications" in path]:
            del said[path]
    assert before == after
    assert feeds["b"] != feeds["a"]
    assert CANARY not in str(after)
    filed = [line for line in reader.looks_of_others() if line not in told]
    assert len(filed) == 1  # the filing, which she could see; not the hold


def test_the_walls_stand_one_without_the_other(world: tuple[Cast, datetime]) -> None:
    cast, now = world
    rule_for_markers(cast, amount=720)
    deliver(now, Obx(CANARY, **MARKER), filler="FL9")
    with identity(viewer_of(cast.anna_user).identity):
        assert not Observation.objects.filter(value_text=CANARY).exists()


def test_released_it_is_in_every_channel(world: tuple[Cast, datetime], post: Post) -> None:
    """The comparison above can fail: with the hold gone, the bytes are there."""
    cast, _ = world
    reader = Reader(cast)
    before, posted = reader.everything(), len(post.received)
    deliver(utc_now(), Obx(CANARY, **MARKER), filler="FL2")
    work_off(utc_now())
    after = reader.everything()
    assert len(post.received) > posted
    changed = {path for path in before if before[path] != after[path]}
    assert {
        "anna reports",
        "anna results",
        "anna results?analyte=ca_15_3",
        "anna analytes/ca_15_3/trend",
        "anna analytes/ca_15_3/trend.svg",
        "anna notifications",
        "dora results",
        "changes",
    } <= changed
