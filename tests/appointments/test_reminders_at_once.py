"""Workers, presses and requests at the same moment, on connections of their own."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

import pytest
from django.conf import LazySettings

from accounts.models import User
from appointments import capabilities, services
from appointments.models import Appointment, AppointmentHistory, CalendarFeed
from appointments.services.links import LINK_SCOPES
from core.db import identity, system
from core.events import deliver_due
from notifications.models import Notification
from notifications.services import drain
from patients.selectors import viewer_in
from tests.appointments.factories import Surgery, book, surgery
from tests.appointments.test_moving import move
from tests.appointments.test_reminders import LATER, rows, tell
from tests.cast import Cast
from tests.notifications.conftest import Post
from tests.together import together
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


@pytest.fixture
def post(settings: LazySettings) -> Iterator[Post]:
    server = Post()
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    yield server
    server.close()


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic)


def test_several_workers_plan_and_send_each_reminder_once(
    cast: Cast, clinic: Surgery, now: datetime, post: Post
) -> None:
    for hour in (9, 10, 11):
        book(cast.anna_user, clinic.opening(hour, on=LATER), now)
    together([lambda: str(deliver_due(now=now))] * 4)
    tell(now)
    assert Counter(rung for rung, *_ in rows()) == {"booked": 3, "7d": 3, "1d": 3, "2h": 3}
    for at in (now, clinic.at(9, on=LATER.replace(day=7)), clinic.at(9, on=LATER.replace(day=13))):
        together([lambda at=at: str(drain(now=at).sent)] * 4)  # type: ignore[misc]
        drain(now=at)
    ids = Counter(re.findall(r"Message-ID: <([^@]+)@", "".join(raw for _, raw in post.received)))
    with identity(system("notifications")):
        sent = Notification.objects.filter(channel="email", state="sent")
        assert ids == Counter(str(row_id) for row_id in sent.values_list("id", flat=True))
    assert len(ids) == 9


def test_a_move_and_the_news_of_the_booking_at_once_leave_no_reminder_of_the_old_time(
    cast: Cast, clinic: Surgery, now: datetime, post: Post
) -> None:
    for day in range(3):
        on = LATER.replace(day=LATER.day + day)
        visit = book(cast.anna_user, clinic.opening(10, on=on), now)

        def moved(visit: Appointment = visit, on: datetime = on) -> str:  # type: ignore[assignment]
            return move(cast.anna_user, visit.id, clinic.opening(11, on=on), now).status  # type: ignore[arg-type]

        together([moved, lambda: str(deliver_due(now=now))])
        tell(now)
        old = rows(subject_id=visit.id, occurrence__contains=":0:")
        new = rows(subject_id=visit.id, occurrence__contains=":1:")
        assert {state for _, state, _ in old} <= {"skipped"}
        assert [(rung, state) for rung, state, _ in new] == [
            ("7d", "planned"), ("1d", "planned"), ("2h", "planned"),
        ]  # fmt: skip


def press(token: str, *, coming: bool, now: datetime) -> str:
    link = capabilities.find_link(token, now=now)
    assert link is not None
    viewer = viewer_in(link.user_id, link.patient_id, scopes=LINK_SCOPES)
    assert viewer is not None
    with identity(viewer.identity):
        services.answer_link(viewer=viewer, link=link, coming=coming, now=now)
    return "done"


def test_two_presses_at_once_leave_one_history(
    cast: Cast, clinic: Surgery, now: datetime, post: Post
) -> None:
    book(cast.anna_user, clinic.opening(10, on=LATER), now)
    tell(now)
    drain(now=now)
    token = re.findall(r"/v/([\w-]+)", post.received[0][1])[0]
    assert together([lambda: press(token, coming=True, now=now)] * 4) == ["done"] * 4
    cancels = together([lambda: press(token, coming=False, now=now)] * 4)
    assert cancels == ["done"] + ["link-outdated"] * 3
    with identity(system("booking")):
        actions = AppointmentHistory.objects.order_by("version").values_list("action", flat=True)
        assert list(actions) == ["book", "confirm", "cancel"]


def test_many_requests_at_once_make_no_more_addresses_than_she_may_have(
    cast: Cast, now: datetime
) -> None:
    def make(user: User = cast.anna_user) -> str:
        viewer = viewer_of(user)
        with identity(viewer.identity):
            services.make_feed(viewer=viewer, titles="discreet", now=now)
        return "made"

    made = together([make] * 8)
    assert made == ["made"] * 5 + ["too-many-feeds"] * 3
    with identity(system("booking")):
        assert CalendarFeed.objects.count() == 5
