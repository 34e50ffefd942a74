"""Keys that protect other keys: AES-256-GCM (NIST SP 800-38D), by `cryptography`.

What is wrapped is bound to a context (whose key it is, and which): moved elsewhere, it does not
open. A key wraps at most 2^32 secrets, as the nonces are random.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
# The form of what is wrapped: this byte, the nonce, the ciphertext with its tag.
_FORM = b"\x01"


class WrappingError(Exception):
    """Wrapped by another key, for another context, or altered: which of them cannot be told."""


def new_key() -> bytes:
    """A key that nobody has."""
    return os.urandom(KEY_BYTES)


def wrap(key: bytes, secret: bytes, context: bytes) -> bytes:
    """`secret`, readable with `key` alone. The context has a fixed layout of its caller's."""
    nonce = os.urandom(NONCE_BYTES)
    return _FORM + nonce + AESGCM(key).encrypt(nonce, secret, _FORM + context)


def unwrap(key: bytes, wrapped: bytes, context: bytes) -> bytes:
    """What was wrapped.

    Raises:
        WrappingError: it was not by this key for this context.
    """
    form, nonce, sealed = wrapped[:1], wrapped[1 : 1 + NONCE_BYTES], wrapped[1 + NONCE_BYTES :]
    if form != _FORM or len(nonce) != NONCE_BYTES:
        raise WrappingError("not in the form of a wrapped key")
    try:
        return AESGCM(key).decrypt(nonce, sealed, _FORM + context)
    except InvalidTag:
        raise WrappingError("wrapped by another key, for another context, or altered") from None
