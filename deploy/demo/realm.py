"""Getting tokens from the real Keycloak, as each kind of client does."""

import base64
import hashlib
import html
import json
import re
import secrets
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from deploy.demo.narrator import StepError, expect

TIMEOUT = 10


class Realm:
    """The realm of a running stack."""

    def __init__(self, stack: dict[str, Any]) -> None:
        self._stack = stack
        self._protocol = f"{stack['issuer']}/protocol/openid-connect"

    def sign_in(self, account: str) -> dict[str, Any]:
        """Authorization code with PKCE (RFC 7636), through the sign-in page, as a browser does.

        Returns the token response.
        """
        portal, person = self._stack["clients"]["portal"], self._stack["accounts"][account]
        verifier = secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest())
        state = secrets.token_urlsafe(16)
        page = requests.get(
            f"{self._protocol}/auth",
            params={
                "response_type": "code",
                "client_id": portal["client_id"],
                "redirect_uri": portal["redirect_uri"],
                "scope": "openid",
                "state": state,
                "code_challenge": challenge.decode().rstrip("="),
                "code_challenge_method": "S256",
            },
            timeout=TIMEOUT,
        )
        answer = _through_the_pages(page, person["username"], person["password"])
        returned = parse_qs(urlsplit(answer.headers["Location"]).query)
        expect(returned.get("state") == [state], "the state came back changed")
        return self._token(
            grant_type="authorization_code",
            client_id=portal["client_id"],
            redirect_uri=portal["redirect_uri"],
            code=returned["code"][0],
            code_verifier=verifier,
        )

    def partner_token(self, client: str) -> str:
        """Client credentials (RFC 6749, section 4.4)."""
        known = self._stack["clients"][client]
        answer = self._token(
            grant_type="client_credentials",
            client_id=known["client_id"],
            client_secret=known["client_secret"],
        )
        return str(answer["access_token"])

    def short_lived_token(self, account: str) -> str:
        """A real token of the development realm that lives one second."""
        person = self._stack["accounts"][account]
        answer = self._token(
            grant_type="password",
            client_id=self._stack["clients"]["development-expired"]["client_id"],
            username=person["username"],
            password=person["password"],
            scope="openid",
        )
        return str(answer["access_token"])

    def _token(self, **form: str) -> dict[str, Any]:
        answer = requests.post(f"{self._protocol}/token", data=form, timeout=TIMEOUT)
        expect(answer.ok, f"no token ({answer.status_code}): {answer.text[:200]}")
        tokens: dict[str, Any] = answer.json()
        return tokens


def _through_the_pages(page: requests.Response, username: str, password: str) -> requests.Response:
    """Fills in the sign-in pages (the name, then the password) up to the redirection back.

    Raises:
        StepError: Keycloak asks for something else, or refuses.
    """
    cookies: dict[str, str] = {}
    for _ in range(3):
        # Marked Secure: a browser sends them to a loopback address all the same.
        cookies |= {cookie.name: cookie.value or "" for cookie in page.cookies}
        form = re.search(r'<form[^>]+id="kc-form-login"[^>]+action="([^"]+)"', page.text)
        expect(form, f"Keycloak showed no sign-in form (status {page.status_code})")
        assert form is not None
        page = requests.post(
            html.unescape(form[1]),
            data={"username": username, "password": password},
            cookies=cookies,
            allow_redirects=False,
            timeout=TIMEOUT,
        )
        if page.status_code == 302:
            return page
    raise StepError("the sign-in was refused")


def claims(token: str) -> dict[str, Any]:
    """What a token says, unchecked: for telling, never for deciding."""
    payload = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * 3))
    return decoded


def unsigned(token: str) -> str:
    """The same claims with ``alg: none`` and no signature: a forgery that must be refused."""
    header = base64.urlsafe_b64encode(b'{"alg":"none","typ":"at+jwt"}').decode().rstrip("=")
    return f"{header}.{token.split('.')[1]}."
