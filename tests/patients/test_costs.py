"""How many statements an answer costs; the number does not grow with the rows."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import RequestFactory
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.api.authentication import BearerAuthentication
from tests.cast import Cast
from tests.tokens import api_of, token_for

pytestmark = pytest.mark.django_db

Counting = Callable[[int], Any]
# Inside a test's transaction: savepoint, its release, and the identity given back after it.
OF_THE_TEST = 3


def asking(token: str) -> Request:
    http = RequestFactory().get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
    return APIView().initialize_request(http)


def test_the_token_check_is_one_statement(cast: Cast, django_assert_num_queries: Counting) -> None:
    request = asking(token_for(cast.anna_user, "labs.read"))
    with django_assert_num_queries(1):
        found = BearerAuthentication().authenticate(request)
        assert found is not None
        user, token = found
        assert (user.email, token.client_id) == ("anna@example.org", "test-mobile")


def test_a_laboratorys_token_has_no_user_and_costs_the_same(
    cast: Cast, django_assert_num_queries: Counting
) -> None:
    request = asking(token_for(None, "labs.submit"))
    with django_assert_num_queries(1):
        found = BearerAuthentication().authenticate(request)
        assert found is not None
        assert found[0] is None


@pytest.mark.parametrize(
    ("path", "statements"),
    [("me", 4), ("patients/me", 6), ("patients/me/changes?area=labs", 5)],
)
def test_statements_of_an_answer(
    cast: Cast, django_assert_num_queries: Counting, path: str, statements: int
) -> None:
    api = api_of(cast.anna_user)
    with django_assert_num_queries(statements + OF_THE_TEST):
        assert api.get(path).status_code == 200


def test_the_access_log_costs_the_same_with_one_line_and_with_twenty(
    cast: Cast, django_assert_num_queries: Counting
) -> None:
    api = api_of(cast.anna_user)
    api.get("patients/me")
    with django_assert_num_queries(5 + OF_THE_TEST):
        assert len(api.get("patients/me/access-log").json()["items"]) == 1
    for _ in range(20):
        api.get("patients/me")
    with django_assert_num_queries(5 + OF_THE_TEST):
        assert len(api.get("patients/me/access-log").json()["items"]) == 20
