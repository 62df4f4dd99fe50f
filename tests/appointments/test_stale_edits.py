"""Several devices change one visit from the same version: one does, the others are told."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from appointments import services
from appointments.models import Appointment, AppointmentHistory
from core.db import identity, system
from tests.appointments.factories import Surgery, book, surgery
from tests.appointments.test_race import at_once, outcome
from tests.cast import Cast
from tests.tokens import viewer_of

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

RACES, DEVICES = 25, 4


def moving(cast: Cast, clinic: Surgery, visit: Any, slot: int, now: datetime) -> Callable[[], Any]:
    def move() -> Any:
        viewer = viewer_of(cast.anna_user)
        with identity(viewer.identity):
            return services.reschedule(
                viewer=viewer,
                appointment_id=visit.id,
                opening=clinic.opening(9 + slot // 2, 30 * (slot % 2)),
                version=visit.version,
                now=now,
            )

    return move


def stored(visit: Any) -> tuple[Appointment, int]:
    with identity(system("booking")):
        return (
            Appointment.objects.get(id=visit.id),
            AppointmentHistory.objects.filter(appointment_id=visit.id).count(),
        )


def test_of_many_moves_from_one_version_one_is_made(cast: Cast, now: datetime) -> None:
    clinic = surgery(cast.clinic)
    visit: Any = book(cast.anna_user, clinic.opening(9), now)
    for number in range(RACES):
        taken = (visit.starts_at - clinic.at(9)).total_seconds() // 1800
        slots = [slot for slot in range(6) if slot != taken][:DEVICES]
        results = at_once([moving(cast, clinic, visit, slot, now) for slot in slots])
        assert Counter(map(outcome, results)) == {"won": 1, "VersionConflict": DEVICES - 1}
        (won,) = [result for result in results if isinstance(result, Appointment)]
        now_there, entries = stored(visit)
        assert (now_there.starts_at, now_there.version) == (won.starts_at, visit.version + 1)
        assert entries == number + 2
        visit = now_there


@pytest.mark.parametrize("action", ["confirm", "cancel"])
def test_another_change_and_a_move_from_one_version(cast: Cast, now: datetime, action: str) -> None:
    clinic = surgery(cast.clinic)
    visit: Any = book(cast.anna_user, clinic.opening(9), now)

    def other() -> Any:
        viewer = viewer_of(cast.anna_user)
        with identity(viewer.identity):
            return getattr(services, action)(
                viewer=viewer, appointment_id=visit.id, version=visit.version, now=now
            )

    results = at_once([other, moving(cast, clinic, visit, 3, now)])
    assert Counter(map(outcome, results)) == {"won": 1, "VersionConflict": 1}
    assert stored(visit)[1] == 2
