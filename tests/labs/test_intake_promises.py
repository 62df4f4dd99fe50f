"""What the intake doors promise, at the size that they promise it (HL7-3, HL7-4, HL7-6, HL7-8)."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import permutations

import pytest
from django.db import connections
from django.test import Client as Browser
from django.urls import reverse

from core.db import identity, system
from core.models import Event
from labs.models import InboundMessage, IntakeItem, Observation, UnfiledMessage
from labs.services import intake
from labs.services.intake import receive
from labs.services.senders import Door, Origin
from tests.cast import Cast
from tests.labs import fhir_bodies
from tests.labs.listening import Client, ack_code, listening
from tests.labs.messages import Obr, Obx, laboratory, oru, send, send_one
from tests.labs.test_versions import minutes
from tests.together import together
from worklist.models import WorkItem

CONNECTIONS = 20
TIMES_SENT = (2, 3, 5, 11, 29, 50)


def stored(field: str = "value_text") -> list[str]:
    with identity(system("lab-intake")):
        return sorted(Observation.objects.values_list(field, flat=True))


# --- HL7-3: however often, in whatever order, over however many connections ------------------


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_messages_replayed_over_twenty_connections_have_one_effect_each(
    cast: Cast, now: datetime
) -> None:
    """Each was sent 2 to 50 times; then the same control ids came with other bytes."""
    laboratory(cast.clinic)
    dice = random.Random(3)
    raws = [
        oru(Obr([Obx(f"3{n}")], filler=f"FL{n}"), control_id=f"R{n}")
        for n, _ in enumerate(TIMES_SENT)
    ]
    sent = [raw for raw, times in zip(raws, TIMES_SENT, strict=True) for _ in range(times)]
    dice.shuffle(sent)
    with listening(now) as port:
        codes = together(
            [partial(_ask_all, port, sent[n::CONNECTIONS]) for n in range(CONNECTIONS)]
        )
        assert Counter("".join(codes)) == Counter("A" * len(sent))
        assert stored() == [f"3{n}" for n in range(6)]
        others = [raw.replace(b"|3", b"|9") for raw in raws] * 3
        dice.shuffle(others)
        codes = together([partial(_ask_all, port, others[n::6]) for n in range(6)])
    assert Counter("".join(codes)) == Counter("A" * len(others))
    assert stored() == [f"3{n}" for n in range(6)]
    with identity(system("lab-intake")):
        receipts = Counter(InboundMessage.objects.values_list("receipt", flat=True))
        reasons = list(IntakeItem.objects.values_list("reason", flat=True))
        assert Event.objects.filter(type="labs.result.filed").count() == 6
    assert receipts == {"accepted": 6, "set-aside": 6, "duplicate": len(sent) + len(others) - 12}
    assert reasons == ["control-id-reused"] * 6


def _ask_all(port: int, raws: list[bytes]) -> str:
    """Return the last letter of nothing but AA: one "A" for each answer."""
    client = Client(port)
    answers = [ack_code(client.ask(raw)) for raw in raws]
    client.close()
    return "".join("A" if code == "AA" else code.lower() for code in answers)


# --- HL7-4: the order of arrival ------------------------------------------------------------

STORY = [("1", "P"), ("2", "P"), ("3", "F"), ("4", "F"), ("5", "C"), ("6", "P")]


@pytest.mark.django_db
def test_all_720_orders_of_six_messages_end_alike(cast: Cast, now: datetime) -> None:
    """Each order is an order number of its own; the n-th message brings the n-th version of all."""
    laboratory(cast.clinic)
    orders = list(permutations(enumerate(STORY)))
    assert len(orders) == 720
    for turn in range(6):
        arriving = [
            Obr(
                [Obx(order[turn][1][0], status=order[turn][1][1])],
                filler=f"FL{number}",
                resulted=minutes(order[turn][0]),
            )
            for number, order in enumerate(orders)
        ]
        assert send(oru(*arriving), now).disposition == "stored"
    with identity(system("lab-intake")):
        counting = Observation.objects.filter(superseded_at__isnull=True)
        assert Counter(counting.values_list("value_text", "status")) == {("5", "corrected"): 720}
        assert Observation.objects.count() == 6 * 720


@pytest.mark.django_db
@pytest.mark.parametrize(("corrected", "flag"), [("950", "HH"), ("30", "")])
@pytest.mark.parametrize("closed", [False, True])
def test_a_corrected_critical_value_is_told_again(
    cast: Cast, now: datetime, corrected: str, flag: str, closed: bool
) -> None:
    """To her as a correction; to staff at the open item, or as a new one when it was closed."""
    laboratory(cast.clinic)
    send_one(now, Obx("900", flag="HH"))
    if closed:
        with identity(system("worklist")):
            WorkItem.objects.update(closed_at=now, closed_by=cast.nurse, closure_code="done")
    later = now + timedelta(minutes=30)
    send(oru(Obr([Obx(corrected, flag=flag, status="C")], resulted="20261120113000+0100")), later)
    with identity(system("worklist")):
        item = WorkItem.objects.get(closed_at__isnull=True)
        said = list(item.evidence.values_list("summary", flat=True))
    assert (item.raised_at == later) is closed
    assert any("was 900 U/L (CRITICAL_HIGH)" in words for words in said)
    with identity(system("lab-intake")):
        told = [event.payload["corrected"] for event in Event.objects.order_by("id")]
    assert told[-1] is True


# --- HL7-6: one message that cannot be filed -------------------------------------------------

POISON = "666"


@contextmanager
def poisoned() -> Iterator[None]:
    """Let the database refuse one value, as a fault of ours would."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "ALTER TABLE labs_observation ADD CONSTRAINT planted CHECK (value_text <> '666')"
        )
    try:
        yield
    finally:
        with connections["owner"].cursor() as cursor:
            cursor.execute("ALTER TABLE labs_observation DROP CONSTRAINT planted")


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_one_poison_message_stops_nobody_and_alarms_within_five_minutes(
    cast: Cast, now: datetime
) -> None:
    """The sweep runs every 30 s. Afterwards one click files it."""
    laboratory(cast.clinic)
    values = ["31"] * 12 + [POISON] + ["32"] * 12
    with poisoned():
        answers = [
            send(oru(Obr([Obx(value)], filler=f"FL{n}")), now) for n, value in enumerate(values)
        ]
        poison = answers[values.index(POISON)]
        assert {answer.ack_code for answer in answers} == {"AA"}
        assert stored() == ["31"] * 12 + ["32"] * 12
        for half_minutes in range(1, 11):
            intake.sweep(now=now + timedelta(seconds=30 * half_minutes))
        with identity(system("worklist")):
            alarm = WorkItem.objects.get()
        with identity(system("lab-intake")):
            left = UnfiledMessage.objects.get()
            assert IntakeItem.objects.get().reason == "filing-failed"
    assert (alarm.concern, alarm.urgency) == ("intake.failed", "SAME_DAY")
    assert alarm.raised_at <= now + timedelta(minutes=5)
    assert (left.tries, left.message_id) == (3, poison.message_id)
    desk = Browser()
    desk.force_login(cast.lab)
    address = reverse("admin:labs_inboundmessage_changelist")
    chosen = {"action": "process_again", "_selected_action": [str(poison.message_id)]}
    assert b"Processed again: stored." in desk.post(address, chosen, follow=True).content
    assert stored().count(POISON) == 1
    with identity(system("lab-intake")):
        assert not UnfiledMessage.objects.exists()


# --- HL7-8: nobody sends in the name of another ----------------------------------------------

EASTS, WESTS = "client-east", "client-west"
DOORS = {
    "mllp": (Origin(Door.MLLP, peer="192.0.2.7"), Origin(Door.MLLP, peer="198.51.100.7")),
    "https": (Origin(Door.HTTPS, client_id=EASTS), Origin(Door.HTTPS, client_id=WESTS)),
    "file": (Origin(Door.FILE, sender_key="east"), Origin(Door.FILE, sender_key="west")),
}


@pytest.fixture
def east_and_west(cast: Cast) -> None:
    own = (("east", "192.0.2.0/24", EASTS), ("west", "198.51.100.0/24", WESTS))
    for key, network, client in own:
        laboratory(
            cast.clinic,
            key=key,
            peer_networks=[network],
            client_id=client,
            allowed_authorities=["MAINLAB" if key == "east" else "WESTLAB"],
        )


@pytest.mark.django_db
@pytest.mark.parametrize("door", DOORS)
def test_two_laboratories_with_swapped_keys_file_nothing(
    east_and_west: None, now: datetime, door: str
) -> None:
    easts, wests = DOORS[door]
    for facility, origin in (("EAST", wests), ("WEST", easts)):
        answer = receive(oru(Obr([Obx("31")]), facility=facility), origin=origin, now=now)
        assert (answer.ack_code, answer.reasons) == ("AR", ("unauthorised",))
    assert stored() == []
    answer = receive(oru(Obr([Obx("31")]), facility="EAST"), origin=easts, now=now)
    assert (answer.ack_code, answer.disposition, answer.sender) == ("AA", "stored", "east")


@pytest.mark.django_db
def test_over_fhir_the_client_alone_says_who_sends(east_and_west: None, now: datetime) -> None:
    """The body names no sender: the numbers of the other laboratory's patients are refused."""
    body = fhir_bodies.raw(
        fhir_bodies.annas(fhir_bodies.observation(performer=[{"display": "East"}]))
    )
    west = receive(body, origin=Origin(Door.FHIR, client_id=WESTS), now=now)
    assert (west.sender, west.disposition) == ("west", "queued")
    assert west.reasons == ("authority-not-allowed",)
    assert stored() == []
    east = receive(body, origin=Origin(Door.FHIR, client_id=EASTS), now=now)
    assert (east.sender, east.disposition) == ("east", "stored")
    assert receive(body, origin=Origin(Door.FHIR), now=now).disposition == "refused"
