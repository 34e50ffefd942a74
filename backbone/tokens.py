"""Access tokens: JWTs of the realm (RFC 7519, RFC 9068), checked here and nowhere else.

A token is accepted when its signature is by a key of the realm with an allowed algorithm and its
``typ``, ``iss``, ``aud``, ``exp``, ``nbf`` and ``iat`` are right, the times within
`RealmSettings.token_leeway`. What was accepted is remembered until it expires, in a bounded cache:
the same token costs a look-up, not a signature. Whether its access has ended since is asked each
time (`backbone.ended`).
"""

import binascii
import heapq
import threading
import time
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from backbone.ended import EndedAccess
from backbone.errors import Unauthenticated
from backbone.realm_keys import RealmKeys
from backbone.settings import RealmSettings

MAX_TOKEN_BYTES = 16 * 1024
CACHE_SIZE = 10_000
# The `acr` of the realm (its `acr.loa.map`): the levels of eIDAS (Regulation 910/2014, article 8).
LEVELS = {"low": 1, "substantial": 2, "high": 3}
# An organization that is no administration says so in this attribute, which tokens repeat.
KIND_ATTRIBUTE, COMPANY = "kind", "company"
_NUMBER = (int, float)


class Caller(NamedTuple):
    """Who calls, as the token says. Never printed with its token or what names the person.

    A tuple, because it is made for each new token: a frozen dataclass takes five times as long.
    """

    subject: str
    client_id: str
    roles: frozenset[str]
    # Alias of the organization that an agent or a partner acts for; empty for a citizen.
    administration: str
    expires_at: float
    token: str
    name: str = ""
    email: str = ""
    email_verified: bool = False
    locale: str = "fr"
    # How surely the person was recognised, one of LEVELS; 0 when the token does not say.
    level: int = 0
    # When the person last signed in (`auth_time`); 0 when the token does not say.
    signed_in_at: float = 0.0
    # Thumbprint of the key that the token is bound to (RFC 9449, section 6); empty: to none.
    key_thumbprint: str = ""
    # The session of the realm (`sid`); empty for a client that acts for itself.
    session_id: str = ""
    issued_at: float = 0.0

    def __repr__(self) -> str:
        return f"Caller({self.subject}, {self.client_id}, {sorted(self.roles)})"


class TokenVerifier:
    """Turns a bearer token into a `Caller`. Safe to share between threads."""

    def __init__(self, settings: RealmSettings, ended: EndedAccess | None = None) -> None:
        """Without `ended`, a token is good until it expires: for tools, not for services."""
        self._settings = settings
        self._ended = ended
        self._keys = RealmKeys(settings, withdrawn=self._forget)
        self._cache: dict[str, Caller] = {}
        # The same tokens by the end of their life: the next to end comes first.
        self._ends: list[tuple[float, str]] = []
        self._lock = threading.Lock()

    def verify(self, token: str) -> Caller:
        """The caller. A token that is bound to a key (`Caller.key_thumbprint`) needs a proof too.

        Raises:
            Unauthenticated: the token is not one of the realm's, or no longer.
            Unavailable: the realm's keys cannot be had, or what has ended is not known yet.
        """
        caller = self._cache.get(token)
        if caller is None:
            caller = self._decode(token)
            self._remember(token, caller)
        elif time.time() >= caller.expires_at + self._settings.token_leeway:
            raise _expired()
        if self._ended is not None:
            self._ended.require(
                caller.session_id, caller.subject, caller.client_id, caller.issued_at
            )
        return caller

    def stands(self, caller: Caller) -> bool:
        """Whether the token of a caller who was let in has neither expired nor been ended."""
        return time.time() < caller.expires_at and not (
            self._ended is not None
            and self._ended.covers(
                caller.session_id, caller.subject, caller.client_id, caller.issued_at
            )
        )

    def _remember(self, token: str, caller: Caller) -> None:
        """Also forgets what has expired, and what ends first when there is too much."""
        now = time.time()
        with self._lock:
            if token not in self._cache:
                self._cache[token] = caller
                heapq.heappush(self._ends, (caller.expires_at + self._settings.token_leeway, token))
            while len(self._cache) > CACHE_SIZE or (self._ends and self._ends[0][0] <= now):
                del self._cache[heapq.heappop(self._ends)[1]]

    def _forget(self) -> None:
        with self._lock:
            self._cache.clear()
            self._ends.clear()

    def _decode(self, token: str) -> Caller:
        if len(token) > MAX_TOKEN_BYTES:
            raise Unauthenticated("The token is too long.")
        try:
            header, claims, signed, signature = parts(token)
        except ValueError as error:
            raise Unauthenticated("The token is not valid.") from error
        if str(header.get("typ", "")).lower() not in ("at+jwt", "application/at+jwt"):
            raise Unauthenticated("The token is not an access token (RFC 9068).")
        # Before the signature: what claims another realm makes nobody fetch keys.
        caller = self._caller(claims, token)
        kid, algorithm = header.get("kid"), header.get("alg")
        if not isinstance(kid, str) or not isinstance(algorithm, str):
            raise Unauthenticated("The token names no algorithm or key.")
        # A key in the header (`jwk`, `jku`, `x5u`, `x5c`) is never looked at.
        verify = self._keys.holding(kid, claims["iat"]).get(algorithm)
        if verify is None:
            raise Unauthenticated("The token's algorithm is not that of its key.")
        if not verify(signed, signature):
            raise Unauthenticated("The token's signature is wrong.")
        return caller

    def _caller(self, claims: dict[str, Any], token: str) -> Caller:
        settings, now = self._settings, time.time()
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        expires, subject = claims.get("exp"), claims.get("sub")
        if claims.get("iss") != settings.issuer:
            raise Unauthenticated("The token is of another issuer.")
        if settings.audience not in audiences:
            raise Unauthenticated("The token is for another audience.")
        if not isinstance(expires, _NUMBER) or not isinstance(subject, str) or not subject:
            raise Unauthenticated("The token lacks `exp` or `sub`.")
        if now >= expires + settings.token_leeway:
            raise _expired()
        for start in (claims.get("nbf", 0), claims.get("iat")):
            if not isinstance(start, _NUMBER) or start > now + settings.token_leeway:
                raise Unauthenticated("The token lacks `iat`, or is not valid yet.")
        # Else the end of its access could be forgotten before the token is.
        if expires - claims["iat"] > settings.token_lifetime + settings.token_leeway:
            raise Unauthenticated("The token lives too long.")
        signed_in = claims.get("auth_time")
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
            level=LEVELS.get(_text(claims, "acr"), 0),
            signed_in_at=float(signed_in) if isinstance(signed_in, _NUMBER) else 0.0,
            key_thumbprint=_thumbprint(claims),
            session_id=_text(claims, "sid"),
            issued_at=float(claims["iat"]),
        )


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """The header, the claims, the bytes that are signed and the signature of a JWS (RFC 7515).

    Raises:
        ValueError: it is none, or its header asks for an extension (`crit`).
    """
    signed, _, signature = token.encode("ascii").rpartition(b".")
    header, dot, claims = signed.partition(b".")
    if not dot:
        raise ValueError("a JWS has three parts")
    return _header(header), _object(_decoded(claims)), signed, _decoded(signature)


@lru_cache(maxsize=64)
def _header(encoded: bytes) -> dict[str, Any]:
    """Read only: all tokens of a key have the same one, which is decoded once."""
    header = _object(_decoded(encoded))
    if "crit" in header or "b64" in header:
        raise ValueError("no extension of RFC 7515 is known here")
    return header


_URL_SAFE = bytes.maketrans(b"-_+/", b"+/!!")


def _decoded(text: bytes) -> bytes:
    padded = text.translate(_URL_SAFE) + b"=" * (-len(text) % 4)
    return binascii.a2b_base64(padded, strict_mode=True)


def _expired() -> Unauthenticated:
    return Unauthenticated("The token has expired.", reason="TOKEN_EXPIRED")


def _thumbprint(claims: dict[str, Any]) -> str:
    """The key that the token is bound to; a binding that nobody here can check is refused."""
    if "cnf" not in claims:
        return ""
    binding = claims["cnf"]
    # Keycloak says beside it which kind of proof the key is for.
    known = isinstance(binding, dict) and binding.keys() <= {"jkt", "kc-jkt-type"}
    if not known or binding.get("kc-jkt-type", "DPoP") != "DPoP" or not _text(binding, "jkt"):
        raise Unauthenticated("The token is bound by other means than DPoP (RFC 9449).")
    return str(binding["jkt"])


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
    return frozenset([item for item in roles if isinstance(item, str)])


def _administration(claims: dict[str, Any]) -> str:
    # A partner's client carries its administration; an agent is a member of an organization.
    if direct := _text(claims, "administration"):
        return direct
    organization = claims.get("organization")
    if organization is None:
        return ""
    if not isinstance(organization, dict):
        organization = dict.fromkeys(_texts(organization))
    aliases = [alias for alias, said in organization.items() if not _is_company(said)]
    # With several memberships the token must say which one acts: none is assumed.
    return aliases[0] if len(aliases) == 1 else ""


def _is_company(said: Any) -> bool:
    kinds = said.get(KIND_ATTRIBUTE) if isinstance(said, dict) else None
    return isinstance(kinds, list) and COMPANY in kinds


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
