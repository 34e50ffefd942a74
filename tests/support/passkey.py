"""A passkey in software: what an authenticator and a browser answer to Keycloak's WebAuthn pages.

The pages hold what the scripts on them would give to `navigator.credentials` (W3C Web
Authentication, Level 3), and take the answer in a form.
"""

import base64
import hashlib
import re
import secrets
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.webauthn import (
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

from tests.support.browser import Browser, Page

REGISTER, AUTHENTICATE = "register", "webauth"
FLAGS = AuthenticatorData.FLAG
# Of no known model: authenticators whose attestation is `none` say so.
AAGUID = bytes(16)


class Passkey:
    """One key pair, for one account; it verified its user unless told otherwise."""

    def __init__(self, *, user_verified: bool = True) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._identifier = secrets.token_bytes(32)
        self._user = b""
        self._flags = FLAGS.UP | FLAGS.UV if user_verified else FLAGS.UP

    def register(self, browser: Browser, page: Page) -> Page:
        """Answers the page that asks for a new passkey (`navigator.credentials.create`)."""
        self._user = _decoded(_asked(page, "userid"))
        public = ES256.from_cryptography_key(self._key.public_key())  # type: ignore[no-untyped-call]
        data = AuthenticatorData.create(
            _rp_hash(page),
            self._flags | FLAGS.AT,
            0,
            AttestedCredentialData.create(AAGUID, self._identifier, public),
        )
        return browser.submit(
            page,
            REGISTER,
            clientDataJSON=_encoded(_client_data(page, CollectedClientData.TYPE.CREATE)),
            attestationObject=_encoded(AttestationObject.create("none", data, {})),
            publicKeyCredentialId=_encoded(self._identifier),
            authenticatorLabel="Clé d’essai",
            transports="internal",
            error="",
        )

    def authenticate(self, browser: Browser, page: Page) -> Page:
        """Answers the page that asks for a passkey (`navigator.credentials.get`)."""
        client_data = _client_data(page, CollectedClientData.TYPE.GET)
        data = AuthenticatorData.create(_rp_hash(page), self._flags, 0)
        signed = bytes(data) + hashlib.sha256(client_data).digest()
        return browser.submit(
            page,
            AUTHENTICATE,
            clientDataJSON=_encoded(client_data),
            authenticatorData=_encoded(data),
            signature=_encoded(self._key.sign(signed, ec.ECDSA(hashes.SHA256()))),
            credentialId=_encoded(self._identifier),
            userHandle=_encoded(self._user),
            error="",
        )


def _client_data(page: Page, kind: CollectedClientData.TYPE) -> bytes:
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(page.url))
    return bytes(CollectedClientData.create(kind, _decoded(_asked(page, "challenge")), origin))


def _rp_hash(page: Page) -> bytes:
    return hashlib.sha256(_asked(page, "rpId").encode()).digest()


def _asked(page: Page, name: str) -> str:
    """What the page's script passes on as `name`."""
    found = re.search(rf"\b{name}\s*:\s*[\"']([^\"']*)[\"']", page.text)
    assert found, f"no {name} on {page.url}: {page.text[:2000]}"
    return found[1]


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(bytes(value)).decode().rstrip("=")


def _decoded(value: str) -> bytes:
    return base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
