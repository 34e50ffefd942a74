"""Proofs of possession (DPoP, RFC 9449): a token bound to a key is good with a proof by that key.

The gateway forwards the proof with the method and the path that it was asked for; every service
checks it (docs/adr/0008-proofs-of-possession.md). A proof is good for one HTTP request, so once
for each rpc that serves its route.
"""

import hashlib
import re
import threading
import time
from base64 import urlsafe_b64encode
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from google.protobuf.descriptor import MethodDescriptor
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry

from backbone import contracts, jws
from backbone.errors import TooMany, Unauthenticated
from backbone.path_template import parse
from backbone.realm_keys import verifier
from backbone.settings import RealmSettings
from backbone.tokens import Caller

# What browsers' WebCrypto and usual libraries make; quick to check, whoever sends it.
ALGORITHMS = ("ES256", "EdDSA", "Ed25519")
CURVES = ("P-256", "Ed25519")
# Seconds from a proof's `iat` to its end, beside the leeway for clocks.
WINDOW_SECONDS = 60.0
MAX_PROOF_BYTES = 4 * 1024
MAX_JTI = 256
# Proofs that are remembered of one key, and of all: more are refused until older ones end.
MAX_OF_KEY = 5_000
MAX_REMEMBERED = 100_000

_PRIVATE = {"d", "k", "p", "q", "dp", "dq", "qi", "oth"}
_UNRESERVED = re.compile(r"%([0-9A-Fa-f]{2})")
_PORTS = {"http": 80, "https": 443}


class Proofs:
    """Checks proofs, each once. Safe to share between threads."""

    def __init__(self, settings: RealmSettings) -> None:
        self._public_url = settings.public_url.rstrip("/")
        self._leeway = settings.token_leeway
        self._seen = _Seen(WINDOW_SECONDS + 2 * settings.token_leeway)

    def check(self, proof: str, method: str, path: str, caller: Caller, rpc: str) -> None:
        """Accepts one proof for one rpc; `method` and `path` are those of the HTTP request.

        Raises:
            Unauthenticated: it is not a proof that the caller's key made for this request.
            TooMany: the key, or all together, sent more proofs than are remembered.
        """
        try:
            parts = jws.parts(proof[: MAX_PROOF_BYTES + 1])
            header, claims = jws.header(parts.header), jws.json_object(parts.payload)
        except ValueError:
            raise refused("is not a JWS") from None
        if len(proof) > MAX_PROOF_BYTES:
            raise refused("is too long")
        if header.get("typ") != "dpop+jwt":
            raise refused("has another `typ` than dpop+jwt")
        algorithm, jwk = header.get("alg"), _public(header.get("jwk"))
        if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
            raise refused(f"has another `alg` than {', '.join(ALGORITHMS)}")
        if _thumbprint(jwk) != caller.key_thumbprint:
            raise refused("is by another key than the token's")
        verify = verifier(jwk, algorithm)
        if verify is None or not verify(parts.signed, parts.signature):
            raise refused("has a wrong signature")
        self._check_claims(claims, method, path, caller)
        jti = claims.get("jti")
        if not isinstance(jti, str) or not 0 < len(jti) <= MAX_JTI:
            raise refused("lacks `jti`")
        self._seen.add(caller.key_thumbprint, f"{rpc} {jti}")

    def _check_claims(self, claims: dict[str, Any], method: str, path: str, caller: Caller) -> None:
        if claims.get("htm") != method:
            raise refused("is for another method (`htm`)")
        uri = claims.get("htu")
        if not isinstance(uri, str) or _normal(uri) != _normal(f"{self._public_url}{path}"):
            raise refused("is for another URI (`htu`)")
        digest = hashlib.sha256(caller.token.encode()).digest()
        if claims.get("ath") != urlsafe_b64encode(digest).rstrip(b"=").decode():
            raise refused("is for another token (`ath`)")
        issued, now = claims.get("iat"), time.time()
        if not isinstance(issued, int | float) or isinstance(issued, bool):
            raise refused("lacks `iat`")
        if not now - WINDOW_SECONDS - self._leeway <= issued <= now + self._leeway:
            raise refused("is too old, or from a clock that is wrong (`iat`)")


class Routes:
    """The HTTP routes that an rpc serves, alone or with another: what a proof for it may name."""

    def __init__(self, method: MethodDescriptor) -> None:
        self._patterns = [(verb, parse(path).pattern) for verb, path in contracts.routes(method)]

    def serve(self, method: str, path: str) -> bool:
        wanted = "GET" if method == "HEAD" else method
        return any(
            verb == wanted and pattern.fullmatch(path) is not None
            for verb, pattern in self._patterns
        )


class _Seen:
    """What was seen within `seconds`, in two generations, each dropped whole."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._new: set[bytes] = set()
        self._old: set[bytes] = set()
        self._of_key: Counter[str] = Counter()
        self._turned = time.monotonic()

    def add(self, key: str, name: str) -> None:
        # A digest, so that what is remembered of a proof has one size.
        mark = hashlib.blake2b(f"{key} {name}".encode(), digest_size=16).digest()
        with self._lock:
            passed = time.monotonic() - self._turned
            if passed >= self._seconds:
                self._old = self._new if passed < 2 * self._seconds else set()
                self._new = set()
                self._of_key.clear()
                self._turned = time.monotonic()
            if mark in self._new or mark in self._old:
                raise refused("was used before (`jti`)", reason="DPOP_PROOF_REPLAYED")
            if self._of_key[key] >= MAX_OF_KEY or len(self._new) >= MAX_REMEMBERED:
                raise TooMany(
                    "More proofs than can be remembered: try again in a minute.",
                    metadata={"retry_after": str(int(self._seconds))},
                )
            self._of_key[key] += 1
            self._new.add(mark)


def refused(fault: str, reason: str = "DPOP_PROOF_INVALID") -> Unauthenticated:
    """The refusal of a proof (RFC 9449, section 7.1)."""
    return Unauthenticated(f"The DPoP proof {fault}.", reason=reason)


def _public(jwk: Any) -> dict[str, Any]:
    """What names a public key, and nothing that goes beyond it.

    Raises:
        Unauthenticated: it is none, a private one, or of another kind than the algorithms use.
    """
    if not isinstance(jwk, dict) or not _PRIVATE.isdisjoint(jwk) or jwk.get("crv") not in CURVES:
        raise refused(f"carries no public key on {' or '.join(CURVES)} (`jwk`)")
    return {name: jwk[name] for name in ("kty", "crv", "x", "y") if name in jwk}


def _thumbprint(jwk: dict[str, Any]) -> str:
    """The thumbprint of a key (RFC 7638).

    Raises:
        Unauthenticated: it is no key.
    """
    try:
        return JWKRegistry.import_key(jwk).thumbprint()
    except (JoseError, ValueError, TypeError, KeyError):
        raise refused("carries no key (`jwk`)") from None


def _normal(uri: str) -> tuple[str, str, int | None, str] | None:
    """A URI without query and fragment, as RFC 3986 compares it (section 6.2.2)."""
    try:
        split = urlsplit(uri)
        port = split.port or _PORTS.get(split.scheme.lower())
    except ValueError:
        return None
    path = _UNRESERVED.sub(_decoded, split.path or "/")
    return split.scheme.lower(), (split.hostname or "").lower(), port, path


def _decoded(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    plain = character.isascii() and (character.isalnum() or character in "-._~")
    return character if plain else found[0].upper()
