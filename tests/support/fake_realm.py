"""A realm of one file: signs tokens with keys of its own, and serves the public ones."""

import base64
import hashlib
import hmac
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jws
from joserfc.jwk import RSAKey

from backbone.settings import RealmSettings
from backbone.tokens import TokenVerifier

ISSUER = "http://realm.invalid/realms/administration"
AUDIENCE = "backbone"


class FakeRealm:
    """Serves ``/jwks`` on loopback until `close`; `asked` counts how often.

    It answers while `answering` is set; cleared, its callers wait, as for a realm that is slow.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.down = False
        self.answering = threading.Event()
        self.answering.set()
        self.keys: dict[str, RSAKey] = {}
        self.add_key("first")
        realm = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                realm.asked += 1
                realm.answering.wait(20)
                body = json.dumps({"keys": [] if realm.down else realm.public()}).encode()
                self.send_response(503 if realm.down else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def jwks_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/jwks"

    def settings(self, **more: Any) -> RealmSettings:
        return RealmSettings(issuer=ISSUER, jwks_url=self.jwks_url, audience=AUDIENCE, **more)

    def verifier(self, **more: Any) -> TokenVerifier:
        return TokenVerifier(self.settings(**more))

    def add_key(self, kid: str) -> None:
        self.keys[kid] = RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})

    def public(self) -> list[dict[str, Any]]:
        return [{**key.as_dict(private=False), "alg": "RS256"} for key in self.keys.values()]

    def token(
        self, claims: dict[str, Any] | None = None, header: dict[str, Any] | None = None
    ) -> str:
        """A good token, but for the claims and header given; None takes one away."""
        head = merged({"alg": "RS256", "kid": "first", "typ": "at+jwt"}, header)
        key = self.keys.get(str(head.get("kid")), self.keys["first"])
        return jws.serialize_compact(
            head, json.dumps(good_claims(claims)).encode(), key, algorithms=[head["alg"]]
        )

    def close(self) -> None:
        self.answering.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def good_claims(claims: dict[str, Any] | None = None) -> dict[str, Any]:
    now = time.time()
    good = {
        "iss": ISSUER,
        "aud": ["account", AUDIENCE],
        "sub": str(uuid.uuid4()),
        "azp": "portal",
        "iat": now,
        "exp": now + 300,
        "realm_access": {"roles": ["citizen"]},
    }
    return merged(good, claims)


def merged(good: dict[str, Any], changes: dict[str, Any] | None) -> dict[str, Any]:
    both = good | (changes or {})
    return {name: value for name, value in both.items() if value is not None}


def forged(header: dict[str, Any], key: bytes | None = None) -> str:
    """A token that no library would make: signed by HMAC with `key`, or not at all."""
    parts = [json.dumps(part).encode() for part in (header, good_claims())]
    signed = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = hmac.new(key, signed, hashlib.sha256).digest() if key else b""
    return (signed + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()
