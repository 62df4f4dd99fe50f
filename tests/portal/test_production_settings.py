"""Production does not start with a missing or unsafe setting, and says which."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from portal.settings.base import database
from portal.settings.refusals import REQUIRED, problems

ROOT = Path(__file__).resolve().parents[2]
SECRET = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
GOOD = {
    "DJANGO_SECRET_KEY": SECRET,
    "LINDEN_FIELD_KEYS": "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=",
    "LINDEN_HMAC_KEY": SECRET[::-1],
    "DATABASE_URL": "postgresql://linden_app:secret@db.example/linden?sslmode=verify-full",
    "REDIS_URL": "rediss://:secret@cache.example:6379/0",
    "DJANGO_ALLOWED_HOSTS": "portal.example,api.portal.example",
    "LINDEN_BASE_URL": "https://portal.example",
}


def test_a_good_environment_has_no_problems() -> None:
    assert problems(GOOD) == []


@pytest.mark.parametrize(("asked", "threshold"), [(None, 0), ("on", 0), ("off", None)])
def test_statements_are_prepared_unless_a_pooler_cannot_follow(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, threshold: int | None
) -> None:
    monkeypatch.delenv("DATABASE_PREPARES", raising=False)
    if asked is not None:
        monkeypatch.setenv("DATABASE_PREPARES", asked)
    made = database(GOOD["DATABASE_URL"])
    assert made["OPTIONS"].get("prepare_threshold") == threshold
    # A pooler refuses what it does not know when a connection starts.
    assert ("options" in made["OPTIONS"]) == (threshold == 0)


@pytest.mark.django_db
def test_the_servers_keep_the_plans_of_prepared_statements() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW plan_cache_mode")
        assert cursor.fetchone() == ("force_generic_plan",)


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, "", "  "])
def test_each_missing_name_is_named(name: str, value: str | None) -> None:
    environ = {key: kept for key, kept in GOOD.items() if key != name}
    if value is not None:
        environ[name] = value
    assert f"{name} is missing" in problems(environ)


def test_everything_missing_is_named_at_once() -> None:
    assert problems({}) == [f"{name} is missing" for name in REQUIRED]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("DJANGO_SECRET_KEY", "django-insecure-" + SECRET, "default key"),
        ("DJANGO_SECRET_KEY", SECRET[:49], "too weak"),
        ("DJANGO_SECRET_KEY", "a" * 60, "too weak"),
        ("LINDEN_HMAC_KEY", SECRET[:31], "too weak"),
        ("LINDEN_HMAC_KEY", SECRET, "same as DJANGO_SECRET_KEY"),
        ("LINDEN_FIELD_KEYS", "not-a-key", "not a Fernet key"),
        ("LINDEN_FIELD_KEYS", GOOD["LINDEN_FIELD_KEYS"] + ",", "not a Fernet key"),
        ("DJANGO_ALLOWED_HOSTS", "*", "any host"),
        ("DJANGO_ALLOWED_HOSTS", "portal.example,*.example", "any host"),
        ("LINDEN_BASE_URL", "http://portal.example", "not an https"),
        ("DATABASE_URL", "postgresql://a:b@db.example/linden", "sslmode"),
        ("DATABASE_URL", "postgresql://a:b@db.example/linden?sslmode=require", "sslmode"),
        ("DATABASE_OWNER_URL", "postgresql://a:b@db.example/linden", "sslmode"),
        ("REDIS_URL", "redis://:secret@cache.example:6379/0", "without TLS"),
        ("REDIS_URL", "redis://127.0.0.1:6379/0", "no password"),
        ("DJANGO_DEBUG", "True", "DJANGO_DEBUG is on"),
    ],
)
def test_each_unsafe_value_is_refused_without_being_shown(
    name: str, value: str, words: str
) -> None:
    found = problems(GOOD | {name: value})
    assert [problem for problem in found if problem.startswith(name) and words in problem]
    assert len(found) == 1
    assert value == "*" or value not in found[0]


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_this_machine_needs_no_tls(host: str) -> None:
    near = {
        "DATABASE_URL": f"postgresql://a:b@{host}/linden",
        "REDIS_URL": f"redis://:secret@{host}:6379/0",
    }
    assert problems(GOOD | near) == []


def test_a_closed_network_needs_no_tls_when_it_is_named() -> None:
    near = {
        "DATABASE_URL": "postgresql://a:b@postgres/linden",
        "REDIS_URL": "redis://:secret@redis:6379/0",
    }
    assert len(problems(GOOD | near)) == 2
    assert problems(GOOD | near | {"LINDEN_INTERNAL_HOSTS": "postgres, redis"}) == []


def manage(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "portal.settings.production"}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environ | GOOD | changes,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_start_is_refused_by_name() -> None:
    refused = manage("check", DJANGO_SECRET_KEY="", REDIS_URL="")
    assert refused.returncode != 0
    assert "DJANGO_SECRET_KEY is missing; REDIS_URL is missing." in refused.stderr


def test_the_deployment_check_finds_only_what_no_clinician_confirmed() -> None:
    checked = manage("check", "--deploy", "--fail-level", "WARNING")
    assert checked.returncode == 1
    found = [line for line in checked.stderr.splitlines() if line.startswith("?: (")]
    assert [line.split()[1] for line in found] == ["(symptoms.E001)"], checked.stderr
    assert "1 issue (0 silenced)" in checked.stderr


def test_cookies_headers_and_demo_are_as_promised() -> None:
    shown = manage(
        "shell",
        "--no-imports",
        "-c",
        "from django.conf import settings as s; print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME,"
        " s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.SECURE_HSTS_SECONDS, s.DEBUG,"
        " s.DEMO_ALLOWED, getattr(s, 'SECURE_PROXY_SSL_HEADER', None),"
        " s.OAUTH2_PROVIDER['ALLOWED_REDIRECT_URI_SCHEMES'])",
    )
    assert shown.stdout.strip() == (
        "__Host-sid __Host-csrf True True 31536000 False False None ['https', 'org.linden.portal']"
    )


def test_the_demo_is_refused() -> None:
    refused = manage("demo")
    assert refused.returncode != 0
