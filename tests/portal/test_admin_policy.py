"""The content policy of the staff site in a real browser: enough for the theme, and no more."""

import shutil
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from portal import admin_site
from tests.cast import make_cast

pytestmark = [
    pytest.mark.browser,
    pytest.mark.django_db(transaction=True, databases=["default", "owner"]),
]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def pages(live_server: Any, now: datetime) -> tuple[str, list[str]]:
    """A nurse's session, and the pages that she opens."""
    cast = make_cast(now)
    client = Client()
    client.force_login(cast.nurse)
    paths = [
        reverse("admin:index"),
        reverse("admin:patients_patient_changelist"),
        reverse("admin:patients_patient_change", args=[cast.anna.pk]),
        reverse("admin:patients_contactpause_add"),
    ]
    return client.cookies[settings.SESSION_COOKIE_NAME].value, [live_server.url + p for p in paths]


@pytest.fixture
def browser(pages: object) -> Iterator[Any]:
    # Started after the rows are made: while it runs, this thread has an event loop.
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def violations(browser: Any, session: str, urls: list[str]) -> list[str]:
    """Open `urls` and return what the browser blocked or broke on, and foreign hosts asked."""
    context = browser.new_context()
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": urls[0]}])
    tab = context.new_page()
    found: list[str] = []
    tab.on("console", lambda line: found.append(line.text) if line.type == "error" else None)
    tab.on("pageerror", lambda error: found.append(str(error)))
    host = urls[0].split("/admin")[0]
    tab.on(
        "request",
        lambda sent: (
            None if sent.url.startswith((host, "data:")) else found.append(f"asked {sent.url}")
        ),
    )
    for url in urls:
        answer = tab.goto(url, wait_until="load")
        assert answer.status == 200
        tab.wait_for_timeout(150)
    context.close()
    return found


def test_the_theme_works_under_our_policy_and_asks_no_other_host(
    pages: tuple[str, list[str]], browser: Any
) -> None:
    assert violations(browser, *pages) == []


@pytest.mark.parametrize(
    ("directive", "without"), [("script-src", "'unsafe-eval'"), ("style-src", "'unsafe-inline'")]
)
def test_each_thing_it_allows_is_needed(
    pages: tuple[str, list[str]],
    browser: Any,
    monkeypatch: pytest.MonkeyPatch,
    directive: str,
    without: str,
) -> None:
    narrower = {
        name: [source for source in sources if (name, source) != (directive, without)]
        for name, sources in admin_site.ADMIN_CSP.items()
    }
    monkeypatch.setattr(admin_site, "ADMIN_CSP", narrower)
    assert any("Content Security Policy" in line for line in violations(browser, *pages))
