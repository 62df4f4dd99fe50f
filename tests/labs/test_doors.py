"""The doors over real sockets: frames, garbage, crashes, several senders at once."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

import pytest
from django.db import OperationalError, connections

from core.db import identity, system
from labs.hl7.mllp import encode
from labs.models import InboundMessage, Observation, SendingLaboratory, UnfiledMessage
from labs.services import intake
from labs.services.intake import receive
from tests.cast import Cast
from tests.labs.listening import Client, ack_code, listening
from tests.labs.messages import FROM_LAB, Obr, Obx, laboratory, oru
from tests.together import together

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner"])
LINE = Obr([Obx("31")])


@pytest.fixture
def lab(cast: Cast) -> SendingLaboratory:
    return laboratory(cast.clinic)


@pytest.fixture
def port(lab: SendingLaboratory, now: datetime) -> Iterator[int]:
    with listening(now, max_bytes=20_000, frame_seconds=0.3) as found:
        yield found


@pytest.fixture
def client(port: int) -> Iterator[Client]:
    made = Client(port)
    yield made
    made.close()


def kept() -> list[InboundMessage]:
    with identity(system("lab-intake")):
        return list(InboundMessage.objects.order_by("id"))


def reasons() -> list[str]:
    return [reason for message in kept() for reason in message.reasons]


def count_results() -> int:
    with identity(system("lab-intake")):
        return Observation.objects.count()


def test_frames_of_one_connection_are_answered_in_order(client: Client) -> None:
    raws = [oru(Obr([Obx(str(n))], filler=f"FL{n}"), control_id=f"N{n}") for n in range(5)]
    client.socket.sendall(b"".join(encode(raw) for raw in raws))
    answers = [client.answer() for _ in raws]
    assert [answer.split(b"\r")[1] for answer in answers] == [
        f"MSA|AA|N{n}".encode() for n in range(5)
    ]
    assert count_results() == 5


def test_a_batch_in_one_frame_gets_an_answer_for_each_message(client: Client) -> None:
    batch = b"FHS|^~\\&\rBHS|^~\\&\r" + oru(LINE) + oru(Obr([Obx("9")], filler="F9")) + b"BTS|2\r"
    client.socket.sendall(encode(batch))
    assert [ack_code(client.answer()), ack_code(client.answer())] == ["AA", "AA"]


def test_a_frame_cut_by_hanging_up_is_kept(port: int) -> None:
    client = Client(port)
    client.socket.sendall(encode(oru(LINE))[:80])
    client.close()
    other = Client(port)
    assert ack_code(other.ask(oru(LINE))) == "AA"
    other.close()
    assert "frame-incomplete" in reasons()


BIG = oru(Obr([Obx("31", notes=["x" * 30_000])]))
# What a sender may do wrong, what is kept of it, and why it was refused.
MISBEHAVIOUR = [
    (encode(b"GET / HTTP/1.1\r\n\r\n"), b"GET / HTTP/1.1\r\n\r\n", "msh-unreadable"),
    (encode(b"\x00" * 50), b"\x00" * 50, "msh-unreadable"),
    (b"hello?", b"hello?", "noise"),
    (encode(oru(LINE))[:80], None, "frame-incomplete"),
    (encode(BIG), BIG[:20_000], "frame-too-large"),
    (b"\x0b" + oru(LINE).replace(b"|", b"\x1c|") + b"\x1c\r", None, ""),
]


def test_whatever_a_sender_does_is_kept_and_answered_and_the_next_message_filed(
    client: Client,
) -> None:
    """One connection throughout: it survives all of it."""
    for number, (sent, remains, reason) in enumerate(MISBEHAVIOUR, start=1):
        client.socket.sendall(sent)
        answer = client.answer()
        assert ack_code(answer) == "AE" or not reason
        found = kept()[-1]
        assert found.receipt == "refused"
        assert remains is None or bytes(found.raw) == remains
        assert not reason or found.reasons == [reason]
        assert ack_code(client.ask(oru(Obr([Obx("31")], filler=f"FL{number}")))) == "AA"
        assert count_results() == number
    big = next(message for message in kept() if "frame-too-large" in message.reasons)
    assert (big.size, big.truncated) == (len(BIG), True)


def test_a_peer_that_nobody_registered_is_refused(lab: SendingLaboratory, now: datetime) -> None:
    with identity(system("registration")):
        SendingLaboratory.objects.update(peer_networks=["192.0.2.0/24"])
    with listening(now) as port:
        client = Client(port)
        assert ack_code(client.ask(oru(LINE))) == "AR"
        client.close()
    assert reasons() == ["unauthorised"]


def test_many_connections_are_served_side_by_side(port: int) -> None:
    clients = [Client(port) for _ in range(12)]
    for number, client in enumerate(clients):
        client.socket.sendall(encode(oru(Obr([Obx("31")], filler=f"FL{number}"))))
    assert [ack_code(client.answer()) for client in clients] == ["AA"] * 12
    for client in clients:
        client.close()
    assert count_results() == 12


def test_stopping_answers_what_was_begun_and_refuses_new_connections(
    lab: SendingLaboratory, now: datetime
) -> None:
    with listening(now) as port:
        client = Client(port)
        client.socket.sendall(encode(oru(LINE)))
        answer = client.answer()
    assert ack_code(answer) == "AA"
    assert client.answer() == b""
    client.close()
    with pytest.raises(ConnectionRefusedError):
        Client(port)


def test_the_log_line_says_sender_answer_outcome_and_time_only(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    client.ask(oru(LINE))
    lines = [record.msg for record in caplog.records if "mllp_listener" in record.name]
    [line] = [line for line in lines if isinstance(line, dict) and line["event"] == "intake"]
    own = set(line) - {"event", "level", "logger", "timestamp"}
    assert own == {"sender", "ack", "outcome", "ms"}
    assert (line["sender"], line["ack"], line["outcome"]) == ("mainlab", "AA", "stored")


# --- crash and race ------------------------------------------------------------------------


def test_a_crash_after_the_commit_loses_and_doubles_nothing(
    lab: SendingLaboratory, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = oru(LINE)

    def die(*args: object, **kwargs: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(intake, "file_unfiled", die)
        with pytest.raises(SystemExit):
            receive(raw, origin=FROM_LAB, now=now)
    connections["default"].close()
    assert (len(kept()), count_results()) == (1, 0)
    again = receive(raw, origin=FROM_LAB, now=now)
    assert (again.ack_code, again.disposition) == ("AA", "duplicate")
    assert intake.sweep(now=now.replace(hour=12)) == 1
    assert intake.sweep(now=now.replace(hour=13)) == 0
    assert count_results() == 1
    with identity(system("lab-intake")):
        assert not UnfiledMessage.objects.exists()


def test_a_crash_in_the_middle_of_filing_leaves_nothing_half_filed(
    lab: SendingLaboratory, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*args: object, **kwargs: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("labs.services.filing.announce", die)
        with pytest.raises(SystemExit):
            receive(oru(LINE), origin=FROM_LAB, now=now)
    assert count_results() == 0
    assert intake.sweep(now=now.replace(hour=12)) == 1
    assert count_results() == 1


def at_once(work: list[bytes], now: datetime) -> list[str]:
    """Receive every message at once; return what became of each."""
    return together([partial(_received, raw, now) for raw in work])


def _received(raw: bytes, now: datetime) -> str:
    return receive(raw, origin=FROM_LAB, now=now).disposition


def test_the_same_message_twice_at_once_is_filed_once(
    lab: SendingLaboratory, now: datetime
) -> None:
    for number in range(5):
        raw = oru(Obr([Obx("31")], filler=f"FL{number}"))
        assert at_once([raw] * 4, now) == ["duplicate", "duplicate", "duplicate", "stored"]
    assert count_results() == 5


def test_versions_of_one_result_at_once_leave_one_that_counts(
    lab: SendingLaboratory, now: datetime
) -> None:
    raws = [
        oru(Obr([Obx(str(n), status="C")], resulted=f"2026112010{n:02d}00+0100")) for n in range(4)
    ]
    assert at_once(raws, now) == ["stored"] * 4
    with identity(system("lab-intake")):
        assert Observation.objects.get(superseded_at__isnull=True).value_text == "3"
        assert Observation.objects.count() == 4


def test_nothing_is_answered_when_nothing_could_be_kept(
    client: Client, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: object, **kwargs: object) -> None:
        raise OperationalError

    with monkeypatch.context() as patch:
        patch.setattr("labs.management.mllp_listener.receive", away)
        client.socket.sendall(encode(oru(LINE)))
        assert client.answer() == b""
    other = Client(port)
    assert ack_code(other.ask(oru(LINE))) == "AA"
    other.close()


def test_a_database_connection_that_broke_is_opened_anew(client: Client, port: int) -> None:
    assert ack_code(client.ask(oru(LINE))) == "AA"
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = user "
            "AND datname = current_database() AND pid <> pg_backend_pid()"
        )
        assert cursor.rowcount == 1
    assert ack_code(client.ask(oru(Obr([Obx("9")], filler="F9")))) == "AA"
