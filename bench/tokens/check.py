"""Checks of tokens in one thread: what a service does, and the bare verification beside it."""

import json
import time
import uuid
from collections.abc import Callable
from itertools import cycle

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jws
from joserfc.jwk import RSAKey

from backbone.jws import parts
from backbone.realm_keys import RealmKeys, verifier
from backbone.settings import RealmSettings
from backbone.tokens import TokenVerifier

ISSUER = "https://realm.example/realms/administration"
KID = "bench"
SECONDS = 0.5
# More than a round of cold checks takes: none of them is found in the cache.
TOKENS = 2000


class _Keys(RealmKeys):
    """One key, as if it had been fetched."""

    def __init__(self, public: RSAKey) -> None:
        super().__init__(RealmSettings(issuer=ISSUER), lambda: None)
        check = verifier(public.as_dict(private=False), "RS256")
        assert check is not None
        self._keys = {KID: {"RS256": check}}
        self._renewed = time.monotonic()


class Checks:
    """The sides: each returns checks a second."""

    def __init__(self) -> None:
        key = RSAKey.generate_key(2048)
        self._public = RSAKey.import_key(key.as_dict(private=False))
        now = time.time()
        self._tokens = [_token(key, now) for _ in range(TOKENS)]
        raw = self._public.get_op_key("verify")
        assert isinstance(raw, RSAPublicKey)
        self._raw = raw
        self._signed = [(each.signature, each.signed) for each in map(parts, self._tokens)]

    def warm(self) -> float:
        """The same token again and again, as within a session."""
        check, token = self._verifier().verify, self._tokens[0]
        return rate(lambda: check(token))

    def cold(self) -> float:
        """Each token for the first time: signature, claims, and the place in the cache."""
        spent = 0.0
        done = 0
        while spent < SECONDS:
            check = self._verifier().verify
            started = time.thread_time()
            for token in self._tokens:
                check(token)
            spent += time.thread_time() - started
            done += TOKENS
        return done / spent

    def library(self) -> float:
        """joserfc's own verification of a JWS; no claims are looked at."""
        tokens, key = cycle(self._tokens), self._public
        return rate(lambda: jws.deserialize_compact(next(tokens), key, algorithms=["RS256"]))

    def cryptography(self) -> float:
        """The RSA check alone, of bytes that are decoded already."""
        signed, verify = cycle(self._signed), self._raw.verify
        padding, algorithm = PKCS1v15(), SHA256()
        return rate(lambda: verify(*next(signed), padding, algorithm))

    def _verifier(self) -> TokenVerifier:
        made = TokenVerifier(RealmSettings(issuer=ISSUER))
        made._keys = _Keys(self._public)
        return made


def rate(call: Callable[[], object]) -> float:
    """Calls a second, over half a second."""
    done, started = 0, time.thread_time()
    while (spent := time.thread_time() - started) < SECONDS:
        for _ in range(200):
            call()
        done += 200
    return done / spent


def _token(key: RSAKey, now: float) -> str:
    claims = {
        "iss": ISSUER,
        "aud": ["account", "backbone"],
        "sub": str(uuid.uuid4()),
        "azp": "portal",
        "jti": str(uuid.uuid4()),
        "sid": str(uuid.uuid4()),
        "iat": now,
        "auth_time": now,
        "exp": now + 3600,
        "acr": "low",
        "scope": "openid profile email organization backbone",
        "realm_access": {"roles": ["citizen", "default-roles-administration"]},
        "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
        "name": "Joséphine Marie-Sainte",
        "given_name": "Joséphine",
        "family_name": "Marie-Sainte",
        "preferred_username": "josephine",
        "email": "josephine.marie-sainte@courriel.example",
        "email_verified": True,
        "locale": "fr",
    }
    header = {"alg": "RS256", "typ": "at+jwt", "kid": KID}
    return jws.serialize_compact(header, json.dumps(claims), key)
