"""The HTTPS door: OAuth outside, HL7 inside."""

from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone
from oauth2_provider.models import get_access_token_model

from accounts.models import OAuthClient
from core.db import identity, system
from core.models import AuditEvent
from labs.models import InboundMessage, Observation
from tests.cast import Cast
from tests.labs.listening import ack_code
from tests.labs.messages import Obr, Obx, laboratory, oru

pytestmark = pytest.mark.django_db
LINE = Obr([Obx("31")])
PATH = "/api/v1/labs/messages"


def token(client_id: str, scope: str = "labs.submit") -> str:
    application = OAuthClient.objects.create(
        name=client_id, client_id=client_id, kind="laboratory",
        authorization_grant_type="client-credentials", client_type="confidential",
    )  # fmt: skip
    made = get_access_token_model().objects.create(
        token=f"token-of-{client_id}", application=application, scope=scope,
        expires=timezone.now() + timedelta(minutes=5),
    )  # fmt: skip
    return made.token


def post(
    client: Client, raw: bytes, bearer: str = "", content_type: str = "application/hl7-v2"
) -> object:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
    return client.post(PATH, raw, content_type=content_type, headers=headers)


@pytest.fixture
def bearer(cast: Cast) -> str:
    laboratory(cast.clinic, client_id="lis")
    return token("lis")


def kept() -> list[InboundMessage]:
    with identity(system("lab-intake")):
        return list(InboundMessage.objects.order_by("id"))


@pytest.mark.parametrize(
    "content_type",
    [
        "application/hl7-v2",
        "application/hl7-v2; charset=utf-8",
        "x-application/hl7-v2+er7",
        "text/plain",
    ],
)
def test_a_message_is_filed_and_acknowledged(
    client: Client, bearer: str, content_type: str
) -> None:
    answer = post(client, oru(LINE), bearer, content_type)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/hl7-v2"
    assert answer["Cache-Control"] == "no-store"
    assert ack_code(answer.content) == "AA"
    with identity(system("lab-intake")):
        assert Observation.objects.get().message.door == "https"


def test_a_batch_gets_one_acknowledgement_for_each_message(client: Client, bearer: str) -> None:
    answer = post(client, oru(LINE, control_id="A") + oru(LINE, control_id="B"), bearer)
    assert answer.content.count(b"MSA|AA|") == 2


@pytest.mark.parametrize("raw", [b"", b"not hl7", b"\x00\x01\x02", b"MSH|"])
def test_garbage_is_an_hl7_error_and_kept(client: Client, bearer: str, raw: bytes) -> None:
    answer = post(client, raw, bearer)
    assert answer.status_code == 200
    assert ack_code(answer.content) in {"AE", "AR"}
    assert bytes(kept()[0].raw) == raw


def test_more_than_the_limit_is_kept_in_part(client: Client, bearer: str, settings: object) -> None:
    settings.INTAKE_MAX_BYTES = 300  # type: ignore[attr-defined]
    raw = oru(Obr([Obx("31", notes=["x" * 2000])]))
    assert ack_code(post(client, raw, bearer).content) == "AE"
    [message] = kept()
    assert (len(bytes(message.raw)), message.size, message.reasons) == (
        300,
        len(raw),
        ["body-too-large"],
    )


def test_bodies_above_djangos_own_limit_are_read(client: Client, bearer: str) -> None:
    raw = oru(Obr([Obx("31", notes=["x" * 2_000_000])]))
    assert ack_code(post(client, raw, bearer).content) == "AA"


def test_another_laboratorys_name_is_refused_inside_hl7(
    client: Client, bearer: str, cast: Cast
) -> None:
    laboratory(cast.clinic, key="otherlab", client_id="other")
    answer = post(client, oru(LINE, facility="OTHERLAB"), bearer)
    assert (answer.status_code, ack_code(answer.content)) == (200, "AR")
    assert kept()[0].reasons == ["unauthorised"]


def problem(answer: object, status: int, code: str) -> None:
    assert answer.status_code == status  # type: ignore[attr-defined]
    assert answer["Content-Type"] == "application/problem+json"  # type: ignore[index]
    assert answer.json()["code"] == code  # type: ignore[attr-defined]
    assert kept() == []


@pytest.mark.parametrize("bearer", ["", "nonsense"])
def test_without_a_good_token_nothing_is_taken(client: Client, cast: Cast, bearer: str) -> None:
    problem(post(client, oru(LINE), bearer), 401, "not-authenticated")


def test_another_scope_is_not_enough(client: Client, cast: Cast) -> None:
    laboratory(cast.clinic, client_id="lis")
    problem(post(client, oru(LINE), token("lis", "labs.read")), 403, "forbidden")


def test_a_client_without_a_laboratory_is_refused_and_the_refusal_kept(
    client: Client, cast: Cast, now: datetime
) -> None:
    problem(post(client, oru(LINE), token("stray")), 403, "forbidden")
    with identity(system("housekeeping")):
        denial = AuditEvent.objects.get(outcome="denied")
        assert (denial.operation, denial.client_id) == ("labs.messages.submit", "stray")


def test_json_is_not_read_here(client: Client, bearer: str) -> None:
    problem(post(client, b"{}", bearer, "application/json"), 415, "unsupported-media-type")
