"""Programs are registered by command, and a secret is shown once."""

from io import StringIO

import pytest
from django.contrib.auth.hashers import check_password
from django.core.management import CommandError, call_command

from accounts.models import OAuthClient

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> dict[str, str]:
    shown = StringIO()
    call_command("register_client", *arguments, stdout=shown)
    return dict(line.split() for line in shown.getvalue().splitlines())


def test_a_laboratory_gets_a_secret_that_is_kept_hashed() -> None:
    shown = run("laboratory", "Main laboratory")
    client = OAuthClient.objects.get(client_id=shown["client_id"])
    assert client.kind == "laboratory"
    assert check_password(shown["client_secret"], client.client_secret)


@pytest.mark.parametrize("kind", ["mobile", "third-party", "staff-tool"])
def test_a_persons_program_gets_no_secret(kind: str) -> None:
    shown = run(kind, "App", "--redirect", "https://app.example/callback")
    assert set(shown) == {"client_id"}
    assert OAuthClient.objects.get(client_id=shown["client_id"]).kind == kind


def test_a_bad_redirect_is_refused_in_words() -> None:
    with pytest.raises(CommandError, match="Plain http only"):
        run("mobile", "App", "--redirect", "http://app.example/callback")
