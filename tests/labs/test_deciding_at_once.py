"""Decisions made at the same moment, each person on a connection of her own."""

from datetime import datetime
from functools import partial

import pytest

from accounts.models import User
from accounts.roles import Role
from core.db import identity, system
from labs.models import IntakeItem, MatchDecision, Observation
from labs.services import deciding
from patients.viewer import staff_viewer
from tests.cast import Cast, staff
from tests.labs.deciding import MARRIED
from tests.labs.messages import Obr, Obx, laboratory, oru, send
from tests.together import together

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


def proposed(cast: Cast, now: datetime) -> MatchDecision:
    laboratory(cast.clinic)
    answer = send(oru(Obr([Obx("31")]), pid=MARRIED), now)
    with identity(system("lab-intake")):
        item = IntakeItem.objects.get(message_id=answer.message_id)
    with identity(staff_viewer(user=cast.lab, now=now).identity):
        return deciding.propose_match(
            item_id=item.id, patient_id=cast.anna.id, actor=cast.lab, reason="Asked her.", now=now
        )


def confirm(decision: MatchDecision, actor: User, now: datetime) -> str:
    with identity(staff_viewer(user=actor, now=now).identity):
        deciding.confirm_match(decision_id=decision.id, actor=actor, now=now)
    return "confirmed"


def arrive(raw: bytes, now: datetime) -> str:
    send(raw, now)
    return "sent"


def test_of_confirmations_at_once_one_counts(cast: Cast, now: datetime) -> None:
    decision = proposed(cast, now)
    people = [staff(name, Role.LABORATORY, cast.clinic) for name in ("lena", "lou", "lim")]
    done = together([partial(confirm, decision, who, now) for who in people])
    assert done == ["confirmed", "match-already-confirmed", "match-already-confirmed"]
    with identity(system("lab-intake")):
        assert Observation.objects.count() == 1


def test_no_message_is_left_in_the_queue_beside_a_confirmation(cast: Cast, now: datetime) -> None:
    decision = proposed(cast, now)
    second = staff("lena", Role.LABORATORY, cast.clinic)
    raws = [oru(Obr([Obx(str(40 + n))], filler=f"FX{n}"), pid=MARRIED) for n in range(6)]
    arriving = [partial(arrive, raw, now) for raw in raws]
    done = together([*arriving, partial(confirm, decision, second, now)])
    assert done == ["confirmed", *["sent"] * 6]
    with identity(system("lab-intake")):
        assert not IntakeItem.objects.filter(cleared_at__isnull=True).exists()
        assert Observation.objects.count() == 7
