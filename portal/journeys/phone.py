"""A mobile client: signs a person in through the system browser, then calls the API."""

import base64
import hashlib
import secrets
import uuid
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import requests

from portal.journeys.outside import TIMEOUT_SECONDS, System, WrongAnswer, expect

REDIRECT = "org.linden.portal:/callback"


class _Form(HTMLParser):
    """The fields of the form that holds a named control (the page may have several)."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "form":
            self.forms.append((found.get("action") or "", {}))
        elif tag in ("input", "button") and self.forms and found.get("name"):
            self.forms[-1][1].setdefault(str(found["name"]), found.get("value") or "")


class Browser:
    """The system browser: cookies, forms, redirects it can follow."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._session = requests.Session()

    def open(self, address: str, *, follow: bool = True) -> requests.Response:
        return self._session.get(
            urljoin(self._system.web, address), timeout=TIMEOUT_SECONDS, allow_redirects=follow
        )

    def submit(
        self, page: requests.Response, fields: dict[str, str], *, follow: bool = True
    ) -> requests.Response:
        """Send the form on `page` that has all of `fields`. Raises: WrongAnswer without one."""
        parser = _Form()
        parser.feed(page.text)
        for action, defaults in parser.forms:
            if set(fields) <= set(defaults):
                return self._session.post(
                    urljoin(page.url, action) if action else page.url,
                    data={**defaults, **fields},
                    headers={"Referer": page.url},
                    timeout=TIMEOUT_SECONDS,
                    allow_redirects=follow,
                )
        raise WrongAnswer(f"no form with {', '.join(fields)} on {urlsplit(page.url).path}")


class Phone:
    """One app on one person's phone."""

    def __init__(self, system: System, *, client_id: str) -> None:
        self._system, self._client_id = system, client_id
        self._session = requests.Session()

    def sign_in(self, *, email: str, password: str, scopes: str) -> None:
        """Authorization code with PKCE: sign-in page, consent, code, token."""
        verifier = secrets.token_urlsafe(48)
        digest = hashlib.sha256(verifier.encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        state = secrets.token_urlsafe(16)
        browser = Browser(self._system)
        query = requests.models.PreparedRequest()
        query.prepare_url(
            f"{self._system.web}/o/authorize/",
            {
                "response_type": "code",
                "client_id": self._client_id,
                "redirect_uri": REDIRECT,
                "scope": scopes,
                "state": state,
                "code_challenge": challenge,
                "code_challenge_method": "S256",
            },
        )
        page = browser.open(str(query.url))
        if "password" in page.text and "login" in page.text:
            page = browser.submit(page, {"login": email, "password": password})
        expect(page.status_code == 200, f"the consent page answered {page.status_code}")
        answer = browser.submit(page, {"allow": "Authorize"}, follow=False)
        location = answer.headers.get("Location", "")
        expect(location.startswith(REDIRECT), "no way back to the app after consent")
        back = parse_qs(urlsplit(location).query)
        expect(back.get("state") == [state], "the state came back changed")
        token = requests.post(
            f"{self._system.web}/o/token/",
            data={
                "grant_type": "authorization_code",
                "code": back["code"][0],
                "redirect_uri": REDIRECT,
                "client_id": self._client_id,
                "code_verifier": verifier,
            },
            timeout=TIMEOUT_SECONDS,
        )
        expect(token.status_code == 200, f"the token endpoint answered {token.status_code}")
        self._session.headers["Authorization"] = f"Bearer {token.json()['access_token']}"

    def get(self, path: str, **params: str) -> Any:
        """Return the JSON of a GET under /api/v1. Raises: WrongAnswer unless 200."""
        answer = self.raw(path, **params)
        expect(answer.status_code == 200, f"GET {path} answered {answer.status_code}")
        return answer.json()

    def raw(self, path: str, **params: str) -> requests.Response:
        return self._session.get(
            f"{self._system.web}/api/v1/{path}", params=params, timeout=TIMEOUT_SECONDS
        )

    def send(self, path: str, body: dict[str, Any], *, key: str | None = None) -> requests.Response:
        """Send a POST with an Idempotency-Key and return whatever comes back."""
        return self._session.post(
            f"{self._system.web}/api/v1/{path}",
            json=body,
            headers={"Idempotency-Key": key or str(uuid.uuid4())},
            timeout=TIMEOUT_SECONDS,
        )

    def post(
        self, path: str, body: dict[str, Any], *, key: str | None = None, status: int = 201
    ) -> Any:
        """Return the JSON of a POST. Raises: WrongAnswer unless `status`."""
        answer = self.send(path, body, key=key)
        code = answer.json().get("code", "") if answer.status_code >= 400 else ""
        expect(
            answer.status_code == status,
            f"POST {path} answered {answer.status_code} {code}".strip(),
        )
        return answer.json()
