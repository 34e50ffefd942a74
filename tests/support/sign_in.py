"""Signing in as the portal does: authorization code with PKCE (RFC 7636), through the pages."""

import base64
import hashlib
import hmac
import json
import secrets
import struct
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.support.browser import Browser, Page
from tests.support.realm import Person

LOGIN, CODE = "kc-form-login", "kc-otp-login-form"


@dataclass
class SignIn:
    """One client of the realm, `portal` by default, and one attempt to sign in."""

    stack: dict[str, Any]
    client: str = "portal"
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    @property
    def redirect_uri(self) -> str:
        return str(self.stack["clients"][self.client]["redirect_uri"])

    @property
    def protocol(self) -> str:
        return f"{self.stack['issuer']}/protocol/openid-connect"

    def browser(self) -> Browser:
        return Browser(self.redirect_uri)

    def request(self, **changes: str) -> dict[str, str]:
        """The authorization request; a change to "" leaves the parameter out."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest())
        asked = {
            "response_type": "code",
            "client_id": self.client,
            "redirect_uri": self.redirect_uri,
            "scope": "openid",
            "state": secrets.token_urlsafe(16),
            "code_challenge": challenge.decode().rstrip("="),
            "code_challenge_method": "S256",
        } | changes
        return {name: value for name, value in asked.items() if value}

    def start(self, browser: Browser, **changes: str) -> Page:
        """The first page of the sign-in, or where a refusal leads."""
        return browser.open(f"{self.protocol}/auth", self.request(**changes))

    def password(self, browser: Browser, page: Page, person: Person) -> Page:
        """Fills in the name, then the password: two pages, as the realm has organizations."""
        page = browser.submit(page, LOGIN, username=person.username)
        return browser.submit(page, LOGIN, username=person.username, password=person.password)

    def tokens(self, page: Page) -> dict[str, Any]:
        """The tokens for the code that came back."""
        assert page.returned is not None, f"still at {page.url}: {page.text[:2000]}"
        answer = self.redeem(code=page.returned["code"])
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    def redeem(self, headers: dict[str, str] | None = None, /, **changes: str) -> httpx.Response:
        """The token request for an authorization code."""
        form = {
            "grant_type": "authorization_code",
            "client_id": self.client,
            "redirect_uri": self.redirect_uri,
            "code_verifier": self.verifier,
        } | changes
        return self.ask({name: value for name, value in form.items() if value}, headers)

    def refresh(self, token: str) -> httpx.Response:
        return self.ask(
            {"grant_type": "refresh_token", "client_id": self.client, "refresh_token": token}
        )

    def ask(self, form: dict[str, str], headers: dict[str, str] | None = None) -> httpx.Response:
        return httpx.post(f"{self.protocol}/token", data=form, headers=headers, timeout=20)


def claims(token: str) -> dict[str, Any]:
    """What a token says, unchecked."""
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "==="))
    return decoded


def one_time_code(secret: str) -> str:
    """The code of this half minute (RFC 6238 with the realm's policy: SHA-1, 6 digits, 30 s)."""
    digest = hmac.digest(secret.encode(), struct.pack(">Q", int(time.time()) // 30), "sha1")
    start = digest[-1] & 0xF
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**6:06d}"
