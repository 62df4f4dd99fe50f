"""A bearer token is honoured only while it, its client and its person are good."""

from datetime import timedelta

import pytest

from accounts.models import OAuthClient, User
from tests.cast import Cast
from tests.tokens import Api, token_for

pytestmark = pytest.mark.django_db


def status(token: str) -> int:
    return Api(token).get("patients/me").status_code


def test_a_live_token_is_accepted(cast: Cast) -> None:
    assert status(token_for(cast.anna_user, "labs.read")) == 200


def test_an_expired_token_is_refused(cast: Cast) -> None:
    assert status(token_for(cast.anna_user, "labs.read", lasts=timedelta(seconds=-1))) == 401


def test_a_token_of_a_retired_client_is_refused(cast: Cast) -> None:
    token = token_for(cast.anna_user, "labs.read")
    OAuthClient.objects.update(is_active=False)
    assert status(token) == 401


def test_a_token_of_an_inactive_person_is_refused(cast: Cast) -> None:
    token = token_for(cast.anna_user, "labs.read")
    User.objects.filter(pk=cast.anna_user.pk).update(is_active=False)
    assert status(token) == 401


def test_an_unknown_token_is_refused(cast: Cast) -> None:
    assert status("not-a-token") == 401
