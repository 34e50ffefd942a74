"""``backbone doctor realm``: the realm as a service that checks tokens finds it."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click
import requests

from backbone.doctor.checks import Check, Missing, examine, tell
from backbone.realm_keys import ALGORITHMS, verifier
from backbone.service_token import ServiceToken
from backbone.settings import ClientSettings, RealmSettings, load

FAILURES = (requests.RequestException, ValueError, KeyError)


@dataclass(frozen=True)
class Asked:
    """A realm, and how to ask it."""

    settings: RealmSettings
    get: Callable[[str], requests.Response]

    def discovered(self) -> dict[str, Any]:
        answer = self.get(f"{self.settings.issuer}/.well-known/openid-configuration")
        answer.raise_for_status()
        told: dict[str, Any] = answer.json()
        return told


def answers(asked: Asked) -> str:
    told = asked.discovered()["issuer"]
    if told != asked.settings.issuer:
        raise Missing(f"it calls itself {told}")
    return f"{told} answers"


def keys(asked: Asked) -> str:
    url = asked.settings.jwks_url or asked.discovered()["jwks_uri"]
    found = [
        key
        for key in asked.get(url).json()["keys"]
        if key.get("use", "sig") == "sig" and key.get("alg") in ALGORITHMS
    ]
    if not any(verifier(key, key["alg"]) for key in found):
        raise Missing("it has no key that could sign a token we accept")
    return f"{len(found)} keys can sign tokens"


def own_token(asked: Asked) -> str:
    client = load(ClientSettings)
    ServiceToken(asked.settings, client).get()
    return f"the client {client.id} obtains a token"


def same_clock(asked: Asked) -> str:
    """By the time of issue of a token: Keycloak's answers have no date."""
    before = datetime.now(UTC)
    issued = _issued(ServiceToken(asked.settings, load(ClientSettings)).get())
    leeway = timedelta(seconds=asked.settings.token_leeway)
    # A token tells whole seconds.
    apart = max(issued - datetime.now(UTC), before - issued - timedelta(seconds=1))
    if apart > leeway:
        raise Missing(f"its clock differs from ours by {apart.total_seconds():.0f} s")
    return f"its clock is ours within {leeway.total_seconds():.0f} s"


def _issued(token: str) -> datetime:
    """When an access token was issued (RFC 9068, section 2.2), unverified."""
    payload = token.split(".")[1]
    claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return datetime.fromtimestamp(claims["iat"], UTC)


CHECKS = (
    Check(
        "realm",
        answers,
        "start Keycloak, or make BACKBONE_ISSUER what it calls itself",
        "every token",
    ),
    Check("keys", keys, "let the realm sign by RS256, PS256, ES256 or EdDSA", "every token"),
    Check(
        "own client",
        own_token,
        "backbone realm apply, and BACKBONE_CLIENT_ID and _SECRET as the realm has them",
        "what the service does for itself",
    ),
    Check("clock", same_clock, "keep both by NTP", "tokens: times of issue and end"),
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def realm(as_json: bool) -> None:
    """Try the realm, with the environment of a service. What differs from the code says `backbone
    realm plan`.
    """
    asked = Asked(load(RealmSettings), lambda url: requests.get(url, timeout=(2, 5)))
    tell(examine(CHECKS, asked, FAILURES), as_json)
