"""Access tokens: JWTs of the realm (RFC 7519, RFC 9068), checked here and nowhere else.

A token is accepted when its signature is by a key of the realm with an allowed algorithm and its
``typ``, ``iss``, ``aud`` and ``exp`` are right. What was accepted is remembered until it expires,
in a bounded cache: the same token costs a look-up, not a signature.
"""

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import orjson
import requests
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from backbone.errors import Unauthenticated, Unavailable
from backbone.settings import RealmSettings

ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"]
MAX_TOKEN_BYTES = 16 * 1024
# An unknown `kid` may be a new key or an attack: the realm is asked at most this often.
REFRESH_SECONDS = 30.0
CACHE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as the token says. Never printed with its token or what names the person."""

    subject: str
    client_id: str
    roles: frozenset[str]
    # Alias of the organization that an agent or a partner acts for; empty for a citizen.
    administration: str
    expires_at: float
    token: str = field(repr=False)
    name: str = field(repr=False, default="")
    email: str = field(repr=False, default="")
    email_verified: bool = False
    locale: str = "fr"


class RealmKeys:
    """The realm's public keys: fetched when first needed, again when an unknown one is met."""

    def __init__(self, settings: RealmSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._keys: KeySet | None = None
        self._fetched = float("-inf")

    def holding(self, kid: str) -> KeySet:
        """The keys, refreshed when `kid` is not among them.

        Raises:
            Unauthenticated: the realm has no such key.
            Unavailable: the realm did not answer, and no key is known yet.
        """
        keys = self._keys
        if keys is not None and _has(keys, kid):
            return keys
        with self._lock:
            if self._keys is None or (
                not _has(self._keys, kid) and time.monotonic() - self._fetched > REFRESH_SECONDS
            ):
                self._fetch()
            assert self._keys is not None
            if _has(self._keys, kid):
                return self._keys
        raise Unauthenticated("The token is signed by no key of the realm.")

    def _fetch(self) -> None:
        url = self._settings.jwks_url
        try:
            if not url:
                discovery = f"{self._settings.issuer}/.well-known/openid-configuration"
                url = _get(discovery)["jwks_uri"]
            self._keys = KeySet.import_key_set(_get(url))
        except (requests.RequestException, ValueError, KeyError, JoseError) as error:
            if self._keys is None:
                raise Unavailable("The identification service does not answer.") from error
        finally:
            self._fetched = time.monotonic()


def _get(url: str) -> Any:
    answer = requests.get(url, timeout=(2, 5))
    answer.raise_for_status()
    return answer.json()


def _has(keys: KeySet, kid: str) -> bool:
    return any(key.kid == kid for key in keys.keys)


class TokenVerifier:
    """Turns a bearer token into a `Caller`. Safe to share between threads."""

    def __init__(self, settings: RealmSettings) -> None:
        self._settings = settings
        self._keys = RealmKeys(settings)
        self._cache: OrderedDict[str, Caller] = OrderedDict()
        self._lock = threading.Lock()

    def verify(self, token: str) -> Caller:
        """Raises:
        Unauthenticated: the token is not one of the realm's, or no longer.
        Unavailable: the realm's keys cannot be had.
        """
        caller = self._cache.get(token)
        if caller is None:
            caller = self._decode(token)
            with self._lock:
                self._cache[token] = caller
                if len(self._cache) > CACHE_SIZE:
                    self._cache.popitem(last=False)
        if time.time() >= caller.expires_at + self._settings.token_leeway:
            self._cache.pop(token, None)
            raise Unauthenticated("The token has expired.", reason="TOKEN_EXPIRED")
        return caller

    def _decode(self, token: str) -> Caller:
        if len(token) > MAX_TOKEN_BYTES:
            raise Unauthenticated("The token is too long.")
        try:
            header = jws.extract_compact(token.encode()).headers()
            kid = header.get("kid")
            if not isinstance(kid, str) or header.get("alg") not in ALGORITHMS:
                raise Unauthenticated("The token's algorithm or key is not allowed.")
            if str(header.get("typ", "")).lower() not in ("at+jwt", "application/at+jwt"):
                raise Unauthenticated("The token is not an access token (RFC 9068).")
            signed = jws.deserialize_compact(token, self._keys.holding(kid), algorithms=ALGORITHMS)
            claims = _object(signed.payload)
        except (JoseError, ValueError) as error:
            raise Unauthenticated("The token is not valid.") from error
        return self._caller(claims, token)

    def _caller(self, claims: dict[str, Any], token: str) -> Caller:
        settings, now = self._settings, time.time()
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        expires, subject = claims.get("exp"), claims.get("sub")
        if claims.get("iss") != settings.issuer:
            raise Unauthenticated("The token is of another issuer.")
        if settings.audience not in audiences:
            raise Unauthenticated("The token is for another audience.")
        if not isinstance(expires, int | float) or not isinstance(subject, str) or not subject:
            raise Unauthenticated("The token lacks `exp` or `sub`.")
        for claim in ("nbf", "iat"):
            start = claims.get(claim, 0)
            if not isinstance(start, int | float) or start > now + settings.token_leeway:
                raise Unauthenticated("The token is not valid yet.")
        return Caller(
            subject=subject,
            client_id=_text(claims, "azp") or _text(claims, "client_id"),
            roles=_roles(claims),
            administration=_administration(claims),
            expires_at=float(expires),
            token=token,
            name=_text(claims, "name"),
            email=_text(claims, "email"),
            email_verified=claims.get("email_verified") is True,
            locale=_text(claims, "locale") or "fr",
        )


def _object(payload: bytes) -> dict[str, Any]:
    claims = orjson.loads(payload)
    if not isinstance(claims, dict):
        raise ValueError("the claims are not an object")  # noqa: TRY004
    return claims


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def _roles(claims: dict[str, Any]) -> frozenset[str]:
    access = claims.get("realm_access")
    roles = access.get("roles") if isinstance(access, dict) else None
    if not isinstance(roles, list):
        return frozenset()
    return frozenset(item for item in roles if isinstance(item, str))


def _administration(claims: dict[str, Any]) -> str:
    # A partner's client carries its administration; an agent is a member of an organization.
    if direct := _text(claims, "administration"):
        return direct
    organization = claims.get("organization")
    aliases = list(organization) if isinstance(organization, list | dict) else []
    # With several memberships the token must say which one acts: none is assumed.
    return aliases[0] if len(aliases) == 1 and isinstance(aliases[0], str) else ""
