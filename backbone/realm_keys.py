"""The realm's public keys (RFC 7517), and when they are fetched.

A token of an unknown key may be the first of a new key, or an attack. Keys that were fetched after
the token was issued decide: it is refused. Older ones cannot: they are fetched again, at most once
in `REFRESH_SECONDS`, and until then the answer is "try again", never a refusal. Whoever holds a
token of a known key waits for nobody.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry
from joserfc.jws import JWSRegistry

from backbone.errors import Unauthenticated, Unavailable
from backbone.settings import RealmSettings

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA", "Ed25519")
REFRESH_SECONDS = 30.0
# While no key is known at all, every caller needs the realm: it is asked this often.
FIRST_SECONDS = 1.0
# Keys this old are fetched again beside the calls, so that a withdrawn one does not stay.
AGE_SECONDS = 300.0
# Calls that wait for a fetch hold a thread each; more of them than this are told to try again.
MAX_WAITING = 8

# Whether a signature is that of the bytes: by one key, with one algorithm.
Verify = Callable[[bytes, bytes], bool]


class RealmKeys:
    """The keys by `kid`. Safe to share between threads.

    `withdrawn` is called when the realm no longer has a key that it had.
    """

    def __init__(self, settings: RealmSettings, withdrawn: Callable[[], None]) -> None:
        self._settings = settings
        self._withdrawn = withdrawn
        self._keys: Mapping[str, Mapping[str, Verify]] = {}
        self._lock = threading.Lock()
        self._waiting = threading.BoundedSemaphore(MAX_WAITING)
        # When the last fetch began (monotonic), and the last one that succeeded (wall clock too).
        self._begun = self._renewed = float("-inf")
        self._as_of = float("-inf")

    def holding(self, kid: str, issued_at: float) -> Mapping[str, Verify]:
        """What verifies signatures of the key `kid`, by algorithm.

        Raises:
            Unauthenticated: the realm had no such key when the token was issued (`issued_at`).
            Unavailable: that cannot be told now; ``retry_after`` says when (seconds).
        """
        found = self._keys.get(kid)
        if found is None:
            self._meet(kid, issued_at)
            found = self._keys.get(kid)
        elif time.monotonic() - max(self._renewed, self._begun) > AGE_SECONDS:
            self._renew_aside()
        if found is None:
            raise Unauthenticated("The token is signed by no key of the realm.")
        return found

    def _meet(self, kid: str, issued_at: float) -> None:
        """Returns once the keys decide about `kid`."""
        if issued_at + self._settings.token_leeway < self._as_of:
            return
        if not self._keys:
            self._renew(kid)
        elif self._waiting.acquire(blocking=False):
            try:
                self._renew(kid)
            finally:
                self._waiting.release()
        else:
            raise _again(1.0)

    def _renew(self, kid: str) -> None:
        arrived = time.monotonic()
        with self._lock:
            if kid in self._keys:
                return
            if self._begun <= arrived:
                pause = REFRESH_SECONDS if self._keys else FIRST_SECONDS
                left = self._begun + pause - time.monotonic()
                if left > 0:
                    raise _again(left)
                self._fetch()
            if self._renewed < self._begun:
                raise _again(REFRESH_SECONDS if self._keys else FIRST_SECONDS)

    def _renew_aside(self) -> None:
        if self._lock.acquire(blocking=False):
            # Taken before the thread starts, so that one at most is started.
            self._begun = time.monotonic()
            threading.Thread(target=self._fetch_aside, name="realm-keys", daemon=True).start()

    def _fetch_aside(self) -> None:
        try:
            self._fetch()
        finally:
            self._lock.release()

    def _fetch(self) -> None:
        """Keeps the keys that are known when the realm does not answer. The lock is held."""
        self._begun, as_of = time.monotonic(), time.time()
        url = self._settings.jwks_url
        try:
            if not url:
                discovery = f"{self._settings.issuer}/.well-known/openid-configuration"
                url = _get(discovery)["jwks_uri"]
            keys = _keys(_get(url)["keys"])
        except (requests.RequestException, ValueError, KeyError, TypeError, AttributeError):
            return
        if keys:
            gone = self._keys.keys() - keys.keys()
            self._keys, self._as_of, self._renewed = keys, as_of, time.monotonic()
            if gone:
                self._withdrawn()


def _again(seconds: float) -> Unavailable:
    return Unavailable(
        "The keys of the identification service cannot be had now.",
        reason="KEYS_UNAVAILABLE",
        metadata={"retry_after": str(int(seconds) + 1)},
    )


def _get(url: str) -> Any:
    answer = requests.get(url, timeout=(2, 5))
    answer.raise_for_status()
    return answer.json()


def _keys(jwks: list[dict[str, Any]]) -> dict[str, dict[str, Verify]]:
    """The keys that verify signatures; one of a kind that nobody here knows hides no other."""
    keys: dict[str, dict[str, Verify]] = {}
    for jwk in jwks:
        kid = jwk.get("kid")
        if isinstance(kid, str) and jwk.get("use", "sig") == "sig":
            allowed = [jwk["alg"]] if "alg" in jwk else ALGORITHMS
            verifiers = {name: each for name in allowed if (each := verifier(jwk, name))}
            if verifiers:
                keys[kid] = verifiers
    return keys


def verifier(jwk: dict[str, Any], algorithm: str) -> Verify | None:
    """What verifies signatures of a public key with an algorithm; None when they do not fit."""
    if algorithm not in ALGORITHMS:
        return None
    model = JWSRegistry.algorithms[algorithm]
    try:
        key = JWKRegistry.import_key(jwk)
        model.check_key(key)
    except (JoseError, ValueError, TypeError):
        return None
    if algorithm == "RS256":
        public = key.get_op_key("verify")
        assert isinstance(public, RSAPublicKey), "the model has checked its key"
        return _rs256(public)
    return lambda signed, signature: model.verify(signed, signature, key)


def _rs256(public: RSAPublicKey) -> Verify:
    """What the model does (RFC 7518, section 3.3), with what it makes each time made once: the
    realm signs by it, so each new token pays.
    """
    padding, digest = PKCS1v15(), SHA256()

    def verify(signed: bytes, signature: bytes) -> bool:
        try:
            public.verify(signature, signed, padding, digest)
        except InvalidSignature:
            return False
        return True

    return verify
