"""Booking and cancelling in circles is limited; what a clinician asked for is not."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from appointments import services
from appointments.models import Appointment
from core.db import identity
from patients.viewer import staff_viewer
from tests.appointments.factories import Surgery, bearer, book, cancel, surgery
from tests.appointments.test_race import at_once, outcome
from tests.cast import Cast
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

OPEN, CANCELLED = 3, 2


@pytest.fixture(autouse=True)
def few(settings: Any) -> None:
    settings.OWN_VISITS_AT_MOST = OPEN
    settings.OWN_CANCELLATIONS_A_DAY = CANCELLED


@pytest.fixture
def clinic(cast: Cast) -> Surgery:
    return surgery(cast.clinic)


def opening(clinic: Surgery, number: int) -> str:
    return clinic.opening(9 + number // 2, 30 * (number % 2))


def full(cast: Cast, clinic: Surgery, now: datetime) -> list[Appointment]:
    return [book(cast.anna_user, opening(clinic, n), now) for n in range(OPEN)]


def test_as_many_as_allowed_and_no_more(cast: Cast, clinic: Surgery, now: datetime) -> None:
    full(cast, clinic, now)
    with pytest.raises(services.TooManyVisits) as refused:
        book(cast.anna_user, opening(clinic, OPEN), now)
    assert refused.value.extra == {"at_most": OPEN}
    book(cast.brigid.user, opening(clinic, OPEN), now)


def test_a_visit_that_is_over_or_cancelled_makes_room(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    first, *_ = full(cast, clinic, now)
    cancel(cast.anna_user, first.id, now)
    book(cast.anna_user, opening(clinic, OPEN), now)
    tuesday = clinic.at(9).date() + timedelta(days=1)
    over = clinic.at(10)
    with pytest.raises(services.TooManyVisits):
        book(cast.anna_user, clinic.opening(9, on=tuesday), over - timedelta(seconds=1))
    book(cast.anna_user, clinic.opening(9, on=tuesday), over)


def test_a_time_that_is_kept_is_no_way_around(cast: Cast, clinic: Surgery, now: datetime) -> None:
    full(cast, clinic, now)
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        kept = services.hold(viewer=viewer, opening=opening(clinic, OPEN), now=now)
    with identity(viewer.identity), pytest.raises(services.TooManyVisits):
        services.book_held(viewer=viewer, hold_id=kept.id, now=now)


def test_the_clinic_books_more_and_what_it_books_does_not_count(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    def by_the_desk(number: int) -> None:
        desk = staff_viewer(user=cast.desk, now=now)
        with identity(desk.identity):
            services.book(
                viewer=desk, opening=opening(clinic, number), patient_id=cast.anna.id, now=now
            )

    by_the_desk(5)
    full(cast, clinic, now)
    by_the_desk(4)


def test_moving_is_not_booking(cast: Cast, clinic: Surgery, now: datetime) -> None:
    first, *_ = full(cast, clinic, now)
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        services.reschedule(
            viewer=viewer, appointment_id=first.id, opening=opening(clinic, OPEN), now=now
        )


def test_circles_end_for_a_day_and_to_the_second(
    cast: Cast, clinic: Surgery, now: datetime
) -> None:
    friday = clinic.opening(9, on=clinic.at(9).date() + timedelta(days=4))
    for number in range(CANCELLED):
        visit = book(cast.anna_user, friday, now + timedelta(minutes=number))
        cancel(cast.anna_user, visit.id, now + timedelta(minutes=number))
    again = now + timedelta(hours=24)
    with pytest.raises(services.TooManyCancellations) as refused:
        book(cast.anna_user, friday, again - timedelta(seconds=1))
    assert refused.value.extra == {"again_at": again.astimezone(UTC).isoformat()}
    book(cast.anna_user, friday, again)


def test_the_clinics_cancellations_are_not_hers(cast: Cast, clinic: Surgery, now: datetime) -> None:
    desk = staff_viewer(user=cast.desk, now=now)
    for _ in range(CANCELLED + 1):
        visit = book(cast.anna_user, opening(clinic, 0), now)
        with identity(desk.identity):
            services.cancel(viewer=desk, appointment_id=visit.id, reason="prov", now=now)
    book(cast.anna_user, opening(clinic, 0), now)


def test_many_at_once_do_not_slip_through(cast: Cast, clinic: Surgery, now: datetime) -> None:
    def job(number: int) -> Callable[[], Any]:
        return lambda: book(cast.anna_user, opening(clinic, number), now)

    results = at_once([job(number) for number in range(6)])
    assert Counter(map(outcome, results)) == {"won": OPEN, "TooManyVisits": 6 - OPEN}


def test_the_api_says_which_limit(
    client: Client, cast: Cast, clinic: Surgery, now: datetime
) -> None:
    # The server has its own clock: the visits are in its future.
    later = datetime.now(UTC).date() + timedelta(days=8)
    later -= timedelta(days=later.weekday())
    if later <= datetime.now(UTC).date():
        later += timedelta(days=7)

    def ask(hour: int, key: str) -> Any:
        return client.post(
            "/api/v1/patients/me/appointments",
            {"opening": clinic.opening(hour, on=later)},
            content_type="application/json",
            headers={**bearer(cast.anna_user), "Idempotency-Key": key},
        )

    made = [ask(9 + number, f"k{number}") for number in range(OPEN)]
    assert [answer.status_code for answer in made] == [201] * OPEN
    hours_later = surgery(cast.clinic)
    clinic.schedule = hours_later.schedule
    clinic.visit_type = hours_later.visit_type
    refused = ask(9, "k9")
    assert (refused.status_code, refused.json()["code"]) == (409, "too-many-visits")
    for answer in made[:CANCELLED]:
        cancelled = client.post(
            f"/api/v1/patients/me/appointments/{UUID(answer.json()['id'])}/$cancel",
            {},
            content_type="application/json",
            headers={**bearer(cast.anna_user), "Idempotency-Key": answer.json()["id"]},
        )
        assert cancelled.status_code == 200
    refused = ask(10, "k10")
    assert (refused.status_code, refused.json()["code"]) == (429, "too-many-cancellations")
    assert refused.json()["again_at"]


def test_a_plan_is_not_limited(cast: Cast, clinic: Surgery, now: datetime) -> None:
    full(cast, clinic, now)
    viewer = viewer_of(cast.anna_user)
    with identity(viewer.identity):
        services.book(viewer=viewer, opening=opening(clinic, OPEN), planned=True, now=now)
