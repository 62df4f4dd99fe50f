"""Decisions made at the same moment, each person on a connection of her own."""

import threading
from collections.abc import Callable
from datetime import datetime

import pytest
from django.db import connections

from accounts.models import User
from accounts.roles import Role
from core.db import identity, system
from core.errors import DomainError
from labs.models import IntakeItem, MatchDecision, Observation
from labs.services import deciding
from patients.viewer import staff_viewer
from tests.cast import Cast, staff
from tests.labs.messages import Obr, Obx, laboratory, oru, send

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])

MARRIED = "PID|1||900001^^^MAINLAB^MR||TESTFRAU^ANNA||19700101|F"


def at_once(work: list[Callable[[], object]]) -> list[str]:
    """Run everything at once; return the codes of refusals, "" for what succeeded."""
    barrier, found, errors = threading.Barrier(len(work)), [], []

    def one(step: Callable[[], object]) -> None:
        try:
            barrier.wait(10)
            step()
            found.append("")
        except DomainError as refusal:
            found.append(refusal.code)
        except Exception as error:
            errors.append(error)
        finally:
            connections["default"].close()

    threads = [threading.Thread(target=one, args=(step,)) for step in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert errors == []
    return sorted(found)


def proposed(cast: Cast, now: datetime) -> MatchDecision:
    laboratory(cast.clinic)
    answer = send(oru(Obr([Obx("31")]), pid=MARRIED), now)
    with identity(system("lab-intake")):
        item = IntakeItem.objects.get(message_id=answer.message_id)
    with identity(staff_viewer(user=cast.lab, now=now).identity):
        return deciding.propose_match(
            item_id=item.id, patient_id=cast.anna.id, actor=cast.lab, reason="Asked her.", now=now
        )


def confirm(decision: MatchDecision, actor: User, now: datetime) -> None:
    with identity(staff_viewer(user=actor, now=now).identity):
        deciding.confirm_match(decision_id=decision.id, actor=actor, now=now)


def test_of_confirmations_at_once_one_counts(cast: Cast, now: datetime) -> None:
    decision = proposed(cast, now)
    people = [staff(name, Role.LABORATORY, cast.clinic) for name in ("lena", "lou", "lim")]
    done = at_once([lambda who=who: confirm(decision, who, now) for who in people])  # type: ignore[misc]
    assert done == ["", "match-already-confirmed", "match-already-confirmed"]
    with identity(system("lab-intake")):
        assert Observation.objects.count() == 1


def test_no_message_is_left_in_the_queue_beside_a_confirmation(cast: Cast, now: datetime) -> None:
    decision = proposed(cast, now)
    second = staff("lena", Role.LABORATORY, cast.clinic)
    raws = [oru(Obr([Obx(str(40 + n))], filler=f"FX{n}"), pid=MARRIED) for n in range(6)]
    arriving: list[Callable[[], object]] = [
        lambda raw=raw: send(raw, now)  # type: ignore[misc]
        for raw in raws
    ]
    assert at_once([*arriving, lambda: confirm(decision, second, now)]) == [""] * 7
    with identity(system("lab-intake")):
        assert not IntakeItem.objects.filter(cleared_at__isnull=True).exists()
        assert Observation.objects.count() == 7
