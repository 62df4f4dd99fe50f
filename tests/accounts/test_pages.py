"""Sign-in pages: closed sign-up, no foreign resource, strict policy, the same words for all."""

import re
from datetime import datetime

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from accounts import services

pytestmark = pytest.mark.django_db

PASSWORD = "seven quiet linden trees"
PAGES = [
    "home", "account_login", "account_reset_password", "account_reset_password_done",
    "account_email_verification_sent", "account_inactive", "account_signup",
]  # fmt: skip
SIGNED_IN = ["home", "mfa_index", "usersessions_list", "account_change_password", "account_logout"]


def assert_calm(answer: object, name: str) -> None:
    page = answer.content.decode()  # type: ignore[attr-defined]
    foreign = re.findall(r"(?:src|href|action)=\"((?:https?:)?//[^\"]+)", page)
    assert foreign == [], name
    assert "<html lang=" in page, name
    assert 'name="viewport"' in page, name
    assert page.count("<h1") == 1, name
    assert not re.search(r"<script(?![^>]*(src=|application/json))|style=|\son\w+=", page), name
    for field in re.findall(r"<input[^>]*\sid=\"([^\"]+)\"", page):
        assert f'for="{field}"' in page, (name, field)
    policy = answer.headers["Content-Security-Policy"]  # type: ignore[attr-defined]
    assert "default-src 'self'" in policy, name
    assert "unsafe" not in policy, name


@pytest.mark.parametrize("name", PAGES)
def test_pages_for_visitors_are_plain_and_labelled(name: str) -> None:
    answer = Client().get(reverse(name))
    assert answer.status_code == 200
    assert_calm(answer, name)


@pytest.mark.parametrize("name", SIGNED_IN)
def test_pages_for_the_signed_in_are_plain_and_labelled(name: str, now: datetime) -> None:
    user = services.open_account(email="anna@example.org", password=PASSWORD, now=now)
    client = Client()
    client.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    answer = client.get(reverse(name))
    assert answer.status_code == 200, answer.headers.get("Location")
    assert_calm(answer, name)


def test_nobody_signs_up_without_an_invitation() -> None:
    client = Client()
    assert b"opened by invitation" in client.get(reverse("account_signup")).content
    body = {"email": "new@example.org", "password1": PASSWORD}
    assert b"opened by invitation" in client.post(reverse("account_signup"), body).content
    from accounts.models import User

    assert not User.objects.filter(email="new@example.org").exists()


def wording(page: bytes) -> str:
    """The page without the one-time token and what was typed."""
    text = re.sub(r'name="csrfmiddlewaretoken" value="[^"]*"', "", page.decode())
    return re.sub(r"[\w.]+@example\.org", "", text)


def test_a_wrong_password_and_an_unknown_address_get_the_same_words(now: datetime) -> None:
    services.open_account(email="anna@example.org", password=PASSWORD, now=now)
    answers = [
        Client().post(reverse("account_login"), {"login": login, "password": "wrong wrong wrong"})
        for login in ("anna@example.org", "nobody@example.org")
    ]
    assert wording(answers[0].content) == wording(answers[1].content)


def test_a_reset_says_the_same_whether_the_address_is_known(now: datetime) -> None:
    services.open_account(email="anna@example.org", password=PASSWORD, now=now)
    answers = [
        Client().post(reverse("account_reset_password"), {"email": email}, follow=True)
        for email in ("anna@example.org", "nobody@example.org")
    ]
    assert wording(answers[0].content) == wording(answers[1].content)


def test_an_account_without_a_password_gets_one_by_mail(now: datetime) -> None:
    services.open_account(email="anna@example.org", now=now)
    Client().post(reverse("account_reset_password"), {"email": "anna@example.org"})
    (sent,) = [one for one in mail.outbox if one.to == ["anna@example.org"]]
    link = re.search(r"https?://[^/\s]+(/accounts/password/reset/key/\S+)", sent.body)
    assert link
    browser = Client()
    page = browser.get(link[1], follow=True)
    chosen = {"password1": PASSWORD, "password2": PASSWORD}
    browser.post(page.request["PATH_INFO"], chosen)
    signed_in = Client()
    signed_in.post(reverse("account_login"), {"login": "anna@example.org", "password": PASSWORD})
    assert b"Sign out" in signed_in.get("/").content


@pytest.mark.parametrize(
    "path", ["/api/v1/patients/me/results", "/api/v1/no-such-thing", "/fhir/R4"]
)
def test_an_answer_of_the_api_may_load_nothing(path: str) -> None:
    policy = Client().get(path).headers["Content-Security-Policy"]
    for directive in ("default-src", "object-src", "base-uri", "frame-ancestors"):
        assert f"{directive} 'none'" in policy
