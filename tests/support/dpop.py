"""Proofs of possession (RFC 9449) as a client makes them."""

import base64
import hashlib
import json
import time
import uuid
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey

from tests.support.fake_realm import merged


class Prover:
    """A client with a key of its own."""

    def __init__(self) -> None:
        self.key = ECKey.generate_key("P-256")
        self.thumbprint = self.key.thumbprint()

    def proof(
        self,
        method: str,
        url: str,
        token: str = "",
        claims: dict[str, Any] | None = None,
        header: dict[str, Any] | None = None,
    ) -> str:
        """A good proof, but for the claims and the header given; None takes one away."""
        good = {"jti": str(uuid.uuid4()), "htm": method, "htu": url, "iat": time.time()}
        if token:
            digest = hashlib.sha256(token.encode()).digest()
            good["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        public = self.key.as_dict(private=False)
        head = merged({"typ": "dpop+jwt", "alg": "ES256", "jwk": public}, header)
        body = json.dumps(merged(good, claims)).encode()
        # By hand: no library signs what a wrong header says.
        parts = [_encoded(json.dumps(head).encode()), _encoded(body)]
        signature = jws.JWSRegistry.algorithms["ES256"].sign(b".".join(parts), self.key)
        return b".".join([*parts, _encoded(signature)]).decode()


def _encoded(text: bytes) -> bytes:
    return base64.urlsafe_b64encode(text).rstrip(b"=")
