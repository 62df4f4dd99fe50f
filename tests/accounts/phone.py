"""A public OAuth client and a person's browser, over real HTTP or straight into Django."""

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from django.test import Client
from requests.adapters import BaseAdapter

CALLBACK = "org.linden.portal:/callback"
PASSWORD = "seven quiet linden trees"
SCOPES = "labs.read appointments.read"
IN_PROCESS = "http://testserver"


class StraightIntoDjango(BaseAdapter):
    """Answers requests to `IN_PROCESS` by the whole Django stack, without a socket."""

    def __init__(self) -> None:
        super().__init__()
        # It keeps the cookies of this session.
        self._client = Client(raise_request_exception=False, enforce_csrf_checks=True)

    def send(self, request: requests.PreparedRequest, **_: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        body = request.body or b""
        answer = self._client.generic(
            request.method or "GET",
            parts.path + (f"?{parts.query}" if parts.query else ""),
            body.encode() if isinstance(body, str) else body,
            content_type=request.headers.get("Content-Type", ""),
            headers={k: v for k, v in request.headers.items() if k.lower() != "content-type"},
        )
        response = requests.Response()
        response.status_code = answer.status_code
        response.headers.update(dict(answer.headers))
        response._content = answer.content
        response.url, response.request = request.url or "", request
        response.encoding = "utf-8"
        return response

    def close(self) -> None:
        """Nothing is held open."""


def http(web: str) -> requests.Session:
    """Return a session that reaches `web`."""
    session = requests.Session()
    if web == IN_PROCESS:
        session.mount(IN_PROCESS, StraightIntoDjango())
    return session


@dataclass
class Phone:
    """A public client and a person's browser."""

    web: str
    client_id: str
    browser: requests.Session = field(init=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(16))

    def __post_init__(self) -> None:
        self.browser = http(self.web)

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def ask(self, **changes: str) -> requests.Response:
        """Open the authorization page, signing in on the way."""
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": CALLBACK,
            "scope": SCOPES,
            "state": self.state,
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
        } | changes
        query = {name: value for name, value in query.items() if value}
        page = self.open(f"{self.web}/o/authorize/", params=query)
        if 'name="password"' in page.text:
            page = self.submit(page, login="anna@example.org", password=PASSWORD)
        return page

    def agree(self, page: requests.Response, **fields: str) -> dict[str, str]:
        answer = self.submit(page, **(fields or {"allow": "Authorize"}))
        assert answer.status_code == 302, answer.text
        back = answer.headers["Location"]
        assert back.startswith(CALLBACK)
        return {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}

    def code(self) -> str:
        return self.agree(self.ask())["code"]

    def token(self, **fields: str) -> requests.Response:
        return http(self.web).post(
            f"{self.web}/o/token/",
            data={"client_id": self.client_id} | fields,
            timeout=10,
        )

    def exchange(self, code: str, **changes: str) -> requests.Response:
        return self.token(
            **{
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": CALLBACK,
                "code_verifier": self.verifier,
                **changes,
            }
        )

    def refresh(self, token: str) -> requests.Response:
        return self.token(grant_type="refresh_token", refresh_token=token)

    def me(self, token: str) -> int:
        return (
            http(self.web)
            .get(f"{self.web}/api/v1/me", headers={"Authorization": f"Bearer {token}"}, timeout=10)
            .status_code
        )

    def open(self, url: str, **options: Any) -> requests.Response:
        page = self.browser.get(url, timeout=10, allow_redirects=False, **options)
        while page.status_code in (301, 302) and page.headers["Location"].startswith("/"):
            page = self.browser.get(
                self.web + page.headers["Location"], timeout=10, allow_redirects=False
            )
        return page

    def submit(self, page: requests.Response, **fields: str) -> requests.Response:
        hidden = {}
        for tag in re.findall(r"<input[^>]*type=\"hidden\"[^>]*>", page.text):
            name = re.search(r'name="([^"]*)"', tag)
            value = re.search(r'value="([^"]*)"', tag)
            if name:
                hidden[name[1]] = value[1].replace("&amp;", "&") if value else ""
        action = re.search(r'<form[^>]*action="([^"]*)"', page.text)
        answer = self.browser.post(
            self.web + action[1] if action else page.url,
            data=hidden | fields,
            headers={"Referer": page.url},
            timeout=10,
            allow_redirects=False,
        )
        if answer.status_code == 302 and answer.headers["Location"].startswith("/"):
            return self.open(self.web + answer.headers["Location"])
        return answer
