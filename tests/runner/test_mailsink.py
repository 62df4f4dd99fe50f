"""The mail sink over its two doors."""

import http.client
import json
import smtplib
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Any

import pytest

from runner.mailsink import Mailbox
from runner.places import CHECKOUT
from runner.ports import LOOPBACK, PortReservations, accepts

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    reservations = PortReservations()
    smtp, web = reservations.take(42_025), reservations.take(48_025)
    argv = [sys.executable, "-m", "runner.mailsink"]
    argv += ["--smtp-port", str(smtp), "--http-port", str(web)]
    process = subprocess.Popen(argv, cwd=CHECKOUT, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 10
    while not (accepts(smtp) and accepts(web)):
        assert time.monotonic() < end
        time.sleep(0.02)
    yield smtp, web
    process.terminate()
    assert process.wait(5) == 0
    reservations.close()


def ask(port: int, method: str, path: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    connection.request(method, path)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, json.loads(body) if body else None


def send(port: int, message: EmailMessage) -> None:
    with smtplib.SMTP(LOOPBACK, port, timeout=5) as client:
        client.send_message(message)


def test_a_message_is_kept_as_it_came_and_found_by_recipient(ports: tuple[int, int]) -> None:
    smtp, web = ports
    message = EmailMessage()
    message["From"], message["To"] = "linden@example.org", "Anna <anna@example.org>"
    message["Subject"] = "Grüße"
    message.set_content("Ein Hinweis wartet.")
    message.add_alternative("<p>Ein Hinweis wartet.</p>", subtype="html")
    send(smtp, message)
    other = EmailMessage()
    other["From"], other["To"], other["Subject"] = "a@example.org", "b@example.org", "x"
    send(smtp, other)

    status, found = ask(web, "GET", "/messages?to=ANNA%40example.org")
    assert status == 200
    (summary,) = found["messages"]
    assert (summary["subject"], summary["to"]) == ("Grüße", ["anna@example.org"])
    status, full = ask(web, "GET", f"/messages/{summary['n']}")
    assert full["text"].strip() == "Ein Hinweis wartet."
    assert full["html"].strip() == "<p>Ein Hinweis wartet.</p>"
    assert ["From", "linden@example.org"] in full["headers"]
    assert full["raw"].startswith("From: linden@example.org")

    assert len(ask(web, "GET", "/messages")[1]["messages"]) == 2
    assert ask(web, "DELETE", "/messages") == (204, None)
    assert ask(web, "GET", "/messages") == (200, {"messages": [], "dropped": 0})
    send(smtp, other)
    (later,) = ask(web, "GET", "/messages")[1]["messages"]
    assert later["n"] == summary["n"] + 2, "a number never means two messages"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/messages/999999"),
        ("GET", "/messages/first"),
        ("DELETE", "/messages/1"),
    ],
)
def test_unknown_addresses_are_not_found(ports: tuple[int, int], method: str, path: str) -> None:
    assert ask(ports[1], method, path)[0] == 404


@pytest.mark.parametrize(("messages", "total_bytes"), [(2, 1_000), (1_000, 25)])
def test_the_oldest_go_first_at_the_cap(messages: int, total_bytes: int) -> None:
    mailbox = Mailbox(max_messages=messages, max_total_bytes=total_bytes)
    for _ in range(3):
        mailbox.add(sender="a@x", recipients=["b@x"], raw=b"Subject: x", now=NOW)
    assert [m.n for m in mailbox.to(None)] == [2, 3]
    assert mailbox.dropped == 1
    assert mailbox.get(1) is None
