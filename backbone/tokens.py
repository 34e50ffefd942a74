"""Access tokens: JWTs of the realm (RFC 7519, RFC 9068), checked here and nowhere else.

A token is accepted when its signature is by a key of the realm with an allowed algorithm and its
``typ``, ``iss``, ``aud``, ``exp``, ``nbf`` and ``iat`` are right, the times within
`RealmSettings.token_leeway`. What was accepted is remembered until it expires, in a bounded cache:
the same token costs a look-up, not a signature. Whether its access has ended since is asked each
time (`backbone.ended`).
"""

import heapq
import threading
import time
from functools import lru_cache
from typing import Any

import msgspec

from backbone import jws
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


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Who calls, as the token says. Never printed with its token or what names the person."""

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


class _Roles(msgspec.Struct, gc=False, frozen=True):
    roles: tuple[str, ...] = ()


class _Claims(msgspec.Struct, gc=False):
    """What is read of a token (RFC 9068, section 2.2, and the realm's own); another claim is not
    looked at, and one of these that has another type refuses the token.
    """

    iss: str
    aud: str | list[str]
    sub: str
    exp: float
    iat: float
    nbf: float = 0.0
    azp: str = ""
    client_id: str = ""
    sid: str = ""
    acr: str = ""
    auth_time: float = 0.0
    name: str = ""
    email: str = ""
    email_verified: bool = False
    locale: str = ""
    realm_access: _Roles = _Roles()
    administration: str = ""
    organization: Any = None
    cnf: Any = msgspec.UNSET


_read = msgspec.json.Decoder(_Claims).decode


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
            parts = jws.parts(token)
            kid, algorithm = _key(parts.header)
            claims = _read(parts.payload)
        except msgspec.ValidationError as error:
            # It names the claim, and no value.
            raise Unauthenticated(f"The token's claims are wrong: {error}.") from None
        except (ValueError, RecursionError, msgspec.DecodeError) as error:
            raise Unauthenticated("The token is not valid.") from error
        # Before the signature: what claims another realm makes nobody fetch keys.
        caller = self._caller(claims, token)
        verify = self._keys.holding(kid, claims.iat).get(algorithm)
        if verify is None:
            raise Unauthenticated("The token's algorithm is not that of its key.")
        if not verify(parts.signed, parts.signature):
            raise Unauthenticated("The token's signature is wrong.")
        return caller

    def _caller(self, claims: _Claims, token: str) -> Caller:
        settings, now = self._settings, time.time()
        leeway = settings.token_leeway
        if claims.iss != settings.issuer:
            raise Unauthenticated("The token is of another issuer.")
        if settings.audience != claims.aud and (
            isinstance(claims.aud, str) or settings.audience not in claims.aud
        ):
            raise Unauthenticated("The token is for another audience.")
        if not claims.sub:
            raise Unauthenticated("The token lacks `sub`.")
        if now >= claims.exp + leeway:
            raise _expired()
        if claims.nbf > now + leeway or claims.iat > now + leeway:
            raise Unauthenticated("The token is not valid yet.")
        # Else the end of its access could be forgotten before the token is.
        if claims.exp - claims.iat > settings.token_lifetime + leeway:
            raise Unauthenticated("The token lives too long.")
        return Caller(
            subject=claims.sub,
            client_id=claims.azp or claims.client_id,
            roles=frozenset(claims.realm_access.roles),
            administration=claims.administration or _administration(claims.organization),
            expires_at=claims.exp,
            token=token,
            name=claims.name,
            email=claims.email,
            email_verified=claims.email_verified,
            locale=claims.locale or "fr",
            level=LEVELS.get(claims.acr, 0),
            signed_in_at=claims.auth_time,
            key_thumbprint="" if claims.cnf is msgspec.UNSET else _thumbprint(claims.cnf),
            session_id=claims.sid,
            issued_at=claims.iat,
        )


@lru_cache(maxsize=64)
def _key(header: bytes) -> tuple[str, str]:
    """Which key signed, and with which algorithm. One in the header (`jwk`, `jku`, `x5u`, `x5c`) is
    never looked at. All tokens of a key have the same header, which is read once.

    Raises:
        Unauthenticated: it is not that of an access token. ValueError: it is none.
    """
    members = jws.header(header)
    if str(members.get("typ", "")).lower() not in ("at+jwt", "application/at+jwt"):
        raise Unauthenticated("The token is not an access token (RFC 9068).")
    kid, algorithm = members.get("kid"), members.get("alg")
    if not isinstance(kid, str) or not isinstance(algorithm, str):
        raise Unauthenticated("The token names no algorithm or key.")
    return kid, algorithm


def _expired() -> Unauthenticated:
    return Unauthenticated("The token has expired.", reason="TOKEN_EXPIRED")


def _thumbprint(binding: Any) -> str:
    """The key that the token is bound to; a binding that nobody here can check is refused."""
    # Keycloak says beside it which kind of proof the key is for.
    known = isinstance(binding, dict) and binding.keys() <= {"jkt", "kc-jkt-type"}
    thumbprint = binding.get("jkt") if known else None
    if not (isinstance(thumbprint, str) and thumbprint) or (
        binding.get("kc-jkt-type", "DPoP") != "DPoP"
    ):
        raise Unauthenticated("The token is bound by other means than DPoP (RFC 9449).")
    return thumbprint


def _administration(organization: Any) -> str:
    """The one that an agent is a member of; a partner's client carries its own as a claim."""
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
