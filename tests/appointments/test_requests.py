"""She asks for a visit; the clinic books one or answers in words."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from accounts.models import User
from appointments import services
from appointments.models import Appointment, PreferredWindow, VisitRequest
from appointments.wishes import Window, suits
from core.db import identity, system
from core.errors import InvalidInput, NotFound
from core.events.outbox import deliver_due
from core.models import Event
from notifications.models import Notification
from tests.appointments.factories import MONDAY, Surgery, hours, surgery
from tests.appointments.orders import as_staff
from tests.appointments.test_race import at_once
from tests.cast import Cast
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
WEEK = Window(MONDAY, MONDAY + 6 * DAY)


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic, booking_policy="request")


def ask(user: User, clinic: Surgery, now: datetime, *windows: Window, **more: Any) -> VisitRequest:
    viewer = viewer_of(user)
    with identity(viewer.identity):
        return services.request_visit(
            viewer=viewer,
            visit_type_id=clinic.visit_type.id,
            windows=windows or (WEEK,),
            now=now,
            **more,
        )


def now_is(request_id: UUID) -> VisitRequest:
    with identity(system("registration")):
        return VisitRequest.objects.get(id=request_id)


def give(cast: Cast, asked: VisitRequest, opening: str, now: datetime) -> Appointment:
    viewer = as_staff(cast.desk, now)
    with identity(viewer.identity):
        return services.book_request(viewer=viewer, request_id=asked.id, opening=opening, now=now)


def reply(cast: Cast, asked: VisitRequest, now: datetime, **more: Any) -> VisitRequest:
    viewer = as_staff(cast.nurse, now)
    with identity(viewer.identity):
        return services.answer_request(
            viewer=viewer, request_id=asked.id, words="Please call us.", now=now, **more
        )


# --- windows --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "clock", "fits"),
    [
        ("morning", time(11, 59), True),
        ("morning", time(12), False),
        ("afternoon", time(11, 59), False),
        ("afternoon", time(12), True),
        ("afternoon", time(16, 59), True),
        ("afternoon", time(17), False),
        ("evening", time(16, 59), False),
        ("evening", time(17), True),
        ("any", time(3), True),
    ],
)
@pytest.mark.parametrize(
    "zone",
    [
        "Europe/Berlin",
        "America/New_York",
        "America/Phoenix",
        "Australia/Lord_Howe",
        "Asia/Kolkata",
    ],
)
@pytest.mark.parametrize("on", [date(2026, 10, 4), date(2026, 10, 25), date(2026, 11, 1)])
def test_parts_of_the_day_are_of_the_clock_at_the_place(
    part: Any, clock: time, fits: bool, zone: str, on: date
) -> None:
    """Days on which clocks change: 4 October on Lord Howe, 25 October, 1 November."""
    starts_at = datetime.combine(on, clock, ZoneInfo(zone))
    window = Window(on, on, part_of_day=part)
    assert suits(window, starts_at=starts_at, zone=zone) is fits


@pytest.mark.parametrize(("day", "fits"), [(-1, False), (0, True), (2, True), (3, False)])
def test_both_ends_of_a_window_are_in_it(day: int, fits: bool) -> None:
    starts_at = datetime(2026, 11, 23, 9, tzinfo=UTC) + day * DAY
    window = Window(MONDAY, MONDAY + 2 * DAY)
    assert suits(window, starts_at=starts_at, zone="UTC") is fits


@pytest.mark.parametrize(("weekday", "fits"), [(1, True), (2, False)])
def test_a_window_may_keep_to_weekdays(weekday: int, fits: bool) -> None:
    """Late on Sunday in UTC is Monday in Kolkata."""
    starts_at = datetime(2026, 11, 22, 20, tzinfo=UTC)
    window = Window(MONDAY - DAY, MONDAY, frozenset({weekday}))
    assert suits(window, starts_at=starts_at, zone="Asia/Kolkata") is fits


# --- asking ---------------------------------------------------------------------------------------


def test_what_she_asks_is_kept_with_its_windows(cast: Cast, clinic: Surgery, now: datetime) -> None:
    morning = Window(MONDAY, MONDAY + DAY, frozenset({1, 2}), "morning")
    asked = now_is(
        ask(
            cast.anna_user,
            clinic,
            now,
            morning,
            WEEK,
            note="My back hurts",
            location_id=clinic.location.id,
            practitioner_id=clinic.doctor.id,
        ).id
    )
    assert (asked.state, asked.made_via, bytes(asked.note or b"")) == (
        "open",
        "patient",
        b"My back hurts",
    )
    with identity(system("registration")), connection.cursor() as cursor:
        assert PreferredWindow.objects.filter(request=asked).count() == 2
        cursor.execute("SELECT note FROM appointments_visitrequest")
        assert b"back" not in bytes(cursor.fetchone()[0])


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ("direct", "request-not-needed"),
        ("view", "not-self-bookable"),
        ("ticket", "not-self-bookable"),
    ],
)
def test_only_what_is_booked_on_request_is_asked_for(
    cast: Cast, now: datetime, policy: str, code: str
) -> None:
    other = surgery(cast.clinic, booking_policy=policy)
    with pytest.raises((services.RequestNotNeeded, services.NotSelfBookable)) as refusal:
        ask(cast.anna_user, other, now)
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("windows", "code"),
    [
        ([Window(MONDAY + DAY, MONDAY)], "before-from"),
        ([Window(date(2026, 11, 1), date(2026, 11, 21))], "past"),
        ([Window(MONDAY, date(2027, 2, 21))], "too-far"),
        ([Window(MONDAY, MONDAY, frozenset({8}))], "invalid"),
        ([WEEK] * 6, "how-many"),
    ],
)
def test_windows_that_make_no_sense(
    cast: Cast, clinic: Surgery, now: datetime, windows: list[Window], code: str
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        ask(cast.anna_user, clinic, now, *windows)
    assert refusal.value.errors[0].code == code


def test_today_and_the_last_day_of_the_horizon_may_be_asked_for(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    today = date(2026, 11, 22)
    ask(cast.anna_user, clinic, now, Window(today, today), Window(today, date(2027, 2, 20)))


def test_a_wish_that_nobody_can_meet_is_refused(cast: Cast, clinic: Surgery, now: datetime) -> None:
    other = surgery(cast.clinic, booking_policy="request")
    with pytest.raises(InvalidInput) as refusal:
        ask(cast.anna_user, clinic, now, location_id=other.location.id)
    assert refusal.value.errors[0].code == "not-offered-there"
    with pytest.raises(InvalidInput) as refusal:
        ask(cast.anna_user, clinic, now, practitioner_id=other.doctor.id)
    assert refusal.value.errors[0].code == "not-offered-by"


def test_a_kind_of_visit_of_another_clinic_does_not_exist(cast: Cast, now: datetime) -> None:
    foreign = surgery(cast.other_clinic, booking_policy="request")
    with pytest.raises(NotFound):
        ask(cast.anna_user, foreign, now)


def test_one_open_request_for_a_kind_and_five_in_all(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    first = ask(cast.anna_user, clinic, now)
    with pytest.raises(services.RequestedAlready) as refusal:
        ask(cast.anna_user, clinic, now)
    assert refusal.value.extra == {"request": str(first.id)}
    for _ in range(4):
        ask(cast.anna_user, surgery(cast.clinic, booking_policy="request"), now)
    sixth = surgery(cast.clinic, booking_policy="request")
    with pytest.raises(services.TooManyRequests):
        ask(cast.anna_user, sixth, now)
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        services.withdraw_request(viewer=viewer, request_id=first.id, now=now)
    ask(cast.anna_user, sixth, now)


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_the_cap_holds_when_she_asks_at_once(cast: Cast, now: datetime) -> None:
    kinds = [surgery(cast.clinic, booking_policy="request") for _ in range(7)]
    results = at_once(
        [lambda kind=kind: ask(cast.anna_user, kind, now) for kind in kinds]  # type: ignore[misc]
    )
    made = [result for result in results if isinstance(result, VisitRequest)]
    refused = [result for result in results if isinstance(result, services.TooManyRequests)]
    assert (len(made), len(refused)) == (5, 2)


# --- the clinic -----------------------------------------------------------------------------------


def test_staff_see_the_openings_that_fit(cast: Cast, clinic: Surgery, now: datetime) -> None:
    asked = ask(
        cast.anna_user, clinic, now, Window(MONDAY, MONDAY + 13 * DAY, frozenset({2}), "morning")
    )
    viewer = as_staff(cast.desk, now)
    with identity(viewer.identity):
        found = services.fitting_openings(viewer, asked, now=now, limit=20)
    assert {offer.opening.starts_at.date() for offer in found} == {MONDAY + DAY, MONDAY + 8 * DAY}
    assert len(found) == 12
    anna = viewer_of(cast.anna_user)
    with identity(anna.identity), pytest.raises(NotFound):
        services.fitting_openings(anna, asked, now=now, limit=20)


def test_staff_see_first_what_meets_her_wish(cast: Cast, clinic: Surgery, now: datetime) -> None:
    birch = services.create_resource(
        organization=cast.clinic, kind="practitioner", name="Dr Birke", location=clinic.location
    )
    schedule = hours(birch, clinic.location, [clinic.visit_type])
    asked = ask(cast.anna_user, clinic, now, Window(MONDAY, MONDAY), practitioner_id=birch.id)
    viewer = as_staff(cast.desk, now)
    with identity(viewer.identity):
        wished = services.fitting_openings(viewer, asked, now=now, limit=50)
        anybody = services.fitting_openings(viewer, asked, now=now, limit=50, only_wish=False)
    assert {offer.opening.schedule_id for offer in wished} == {schedule.id}
    assert len(anybody) == 2 * len(wished)


def test_a_request_becomes_a_visit(cast: Cast, clinic: Surgery, now: datetime) -> None:
    asked = ask(cast.anna_user, clinic, now)
    visit = give(cast, asked, clinic.opening(9), now)
    after = now_is(asked.id)
    assert (after.state, after.appointment_id, after.decided_by_id) == (
        "booked",
        visit.id,
        cast.desk.id,
    )
    with identity(system("registration")):
        assert Event.objects.filter(type="appointments.booked", subject_id=visit.id).exists()
    with pytest.raises(services.NotOpen):
        give(cast, asked, clinic.opening(10), now)
    with identity(system("registration")):
        assert Appointment.objects.count() == 1


def test_when_the_time_is_lost_the_request_stays_open(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    asked = ask(cast.anna_user, clinic, now)
    other = ask(cast.brigid.user, clinic, now)
    give(cast, other, clinic.opening(9), now)
    with pytest.raises(services.SlotTaken) as refusal:
        give(cast, asked, clinic.opening(9), now)
    assert refusal.value.alternatives
    assert now_is(asked.id).state == "open"


def test_another_kind_of_visit_does_not_answer_a_request(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    asked = ask(cast.anna_user, clinic, now)
    with pytest.raises(services.OtherVisitType):
        give(cast, asked, surgery(cast.clinic).opening(9), now)


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_two_at_the_desk_book_one_visit(cast: Cast, clinic: Surgery, now: datetime) -> None:
    asked = ask(cast.anna_user, clinic, now)
    results = at_once(
        [
            lambda hour=hour: give(cast, asked, clinic.opening(hour), now)  # type: ignore[misc]
            for hour in (9, 10)
        ]
    )
    assert sorted(type(result).__name__ for result in results) == ["Appointment", "NotOpen"]
    with identity(system("registration")):
        assert Appointment.objects.count() == 1


@pytest.mark.parametrize("state", ["answered", "declined"])
def test_an_answer_in_words_is_told_discreetly(
    cast: Cast, clinic: Surgery, now: datetime, state: str
) -> None:
    asked = ask(cast.anna_user, clinic, now)
    reply(cast, asked, now, state=state)
    after = now_is(asked.id)
    assert (after.state, bytes(after.answer or b"")) == (state, b"Please call us.")
    with pytest.raises(services.NotOpen):
        reply(cast, asked, now)


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_the_notice_of_an_answer_says_nothing_of_it(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    asked = ask(cast.anna_user, clinic, now)
    reply(cast, asked, now)
    deliver_due(now=now)
    deliver_due(now=now)
    with identity(system("notifications")):
        rows = list(Notification.objects.filter(purpose="reply"))
    assert rows
    assert {row.occurrence for row in rows} == {f"visit-request:{asked.id}"}
    assert {row.template for row in rows} == {"something_new"}
    assert all("call us" not in str(row.context) for row in rows)


def test_an_answer_needs_words_and_staff(cast: Cast, clinic: Surgery, now: datetime) -> None:
    asked = ask(cast.anna_user, clinic, now)
    viewer = as_staff(cast.nurse, now)
    with identity(viewer.identity), pytest.raises(InvalidInput):
        services.answer_request(viewer=viewer, request_id=asked.id, words="  ", now=now)
    anna = viewer_of(cast.anna_user)
    for act in (
        lambda who: services.answer_request(viewer=who, request_id=asked.id, words="x", now=now),
        lambda who: services.book_request(
            viewer=who, request_id=asked.id, opening=clinic.opening(9), now=now
        ),
    ):
        with identity(anna.identity), pytest.raises(NotFound):
            act(anna)
    stranger = as_staff(cast.other_nurse, now)
    with identity(stranger.identity), pytest.raises(NotFound):
        services.answer_request(viewer=stranger, request_id=asked.id, words="x", now=now)


def test_she_takes_it_back_and_then_nobody_books_it(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    asked = ask(cast.anna_user, clinic, now)
    anna, brigid = viewer_of(cast.anna_user), viewer_of(cast.brigid.user)
    with identity(brigid.identity), pytest.raises(NotFound):
        services.withdraw_request(viewer=brigid, request_id=asked.id, now=now)
    with identity(anna.identity):
        services.withdraw_request(viewer=anna, request_id=asked.id, now=now)
        services.withdraw_request(viewer=anna, request_id=asked.id, now=now + DAY)
    assert now_is(asked.id).decided_at == now
    with pytest.raises(services.NotOpen):
        give(cast, asked, clinic.opening(9), now)
    answered = ask(cast.anna_user, clinic, now)
    reply(cast, answered, now)
    with identity(anna.identity), pytest.raises(services.NotOpen):
        services.withdraw_request(viewer=anna, request_id=answered.id, now=now)


# --- walls ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"state": "lost", "decided": True}, "visit_request_state"),
        ({"decided_at": datetime(2026, 11, 22, tzinfo=UTC)}, "visit_request_decided_by_somebody"),
        ({"state": "withdrawn"}, "visit_request_decided_by_somebody"),
        ({"state": "booked", "decided": True}, "visit_request_booked_has_a_visit"),
        ({"state": "answered", "decided": True}, "visit_request_answered_has_words"),
        ({"answer": b"x"}, "visit_request_answered_has_words"),
    ],
)
def test_states_and_what_they_need(
    cast: Cast, clinic: Surgery, now: datetime, change: dict[str, Any], name: str
) -> None:
    asked = ask(cast.anna_user, clinic, now)
    if change.pop("decided", False):
        change |= {"decided_at": now, "decided_by": cast.nurse}
    with (
        identity(system("registration")),
        pytest.raises(IntegrityError) as refused,
        transaction.atomic(),
    ):
        VisitRequest.objects.filter(id=asked.id).update(**change)
    assert refused.value.__cause__.diag.constraint_name == name  # type: ignore[union-attr]


def test_the_database_keeps_what_was_asked(cast: Cast, clinic: Surgery, now: datetime) -> None:
    asked = ask(cast.anna_user, clinic, now)
    reply(cast, asked, now)
    with identity(system("registration")):
        for change in ({"state": "open"}, {"answer": b"other"}, {"patient": cast.brigid}):
            with pytest.raises(DatabaseError), transaction.atomic():
                VisitRequest.objects.filter(id=asked.id).update(**change)
        for window, name in (
            ({"first": MONDAY, "last": MONDAY - DAY}, "preferred_window_first_before_last"),
            ({"first": MONDAY, "last": MONDAY, "weekdays": [0]}, "preferred_window_weekdays"),
            (
                {"first": MONDAY, "last": MONDAY, "part_of_day": "noon"},
                "preferred_window_part_of_day",
            ),
        ):
            with pytest.raises(IntegrityError) as refused, transaction.atomic():
                PreferredWindow.objects.create(request=asked, **window)
            assert refused.value.__cause__.diag.constraint_name == name  # type: ignore[union-attr]


def test_others_see_nothing_of_it(cast: Cast, clinic: Surgery, now: datetime) -> None:
    ask(cast.anna_user, clinic, now)
    for who, count in (
        (viewer_of(cast.anna_user), 1),
        (viewer_of(cast.brigid.user), 0),
        (as_staff(cast.nurse, now), 1),
        (as_staff(cast.other_nurse, now), 0),
    ):
        with identity(who.identity):
            assert (VisitRequest.objects.count(), PreferredWindow.objects.count()) == (
                count,
                count,
            )
