"""The listener as a process of its own, and over TLS."""

import os
import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from django.core.management import CommandError, call_command

from labs.management.commands.mllp import tls_context
from tests.cast import Cast
from tests.labs.listening import Client, ack_code, listening
from tests.labs.messages import Obr, Obx, laboratory, oru

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    made = subprocess.Popen(
        [sys.executable, "manage.py", "mllp", "--port", "0"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield made
    if made.poll() is None:
        made.kill()
    made.communicate()


def test_the_command_listens_and_stops_cleanly(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.search(r'"port": ?(\d+)', line)
    assert found, line
    client = Client(int(found[1]))
    process.send_signal(signal.SIGTERM)
    rest, _ = process.communicate(timeout=30)
    assert client.answer() == b""
    client.close()
    assert process.returncode == 0
    assert "mllp.stopped" in rest
    assert "Traceback" not in rest


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate with its key, for 127.0.0.1."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    start = datetime.now(UTC) - timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "tls.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_messages_travel_over_tls_and_plain_text_does_not(
    cast: Cast, now: datetime, certificate: Path
) -> None:
    laboratory(cast.clinic)
    server = tls_context(certificate=str(certificate), key="", client_ca="")
    trusting = ssl.create_default_context(cafile=str(certificate))
    with listening(now, tls=server) as port:
        client = Client(port)
        client.socket = trusting.wrap_socket(client.socket, server_hostname="localhost")
        assert ack_code(client.ask(oru(Obr([Obx("31")])))) == "AA"
        client.close()
        plain = Client(port)
        assert plain.ask(oru(Obr([Obx("31")]))) == b""
        plain.close()


@pytest.mark.parametrize(
    "options",
    [{"tls_cert": "/nonexistent.pem"}, {"tls_key": "/some.pem"}, {"tls_client_ca": "/some.pem"}],
)
def test_the_command_refuses_a_tls_set_up_that_cannot_work(options: dict[str, str]) -> None:
    with pytest.raises(CommandError):
        call_command("mllp", **options)
