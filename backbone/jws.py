"""A JWS in its compact form (RFC 7515, section 3.1), taken apart. Nothing is verified here."""

from typing import Any, NamedTuple

import orjson
from pybase64 import b64decode


class Parts(NamedTuple):
    """The header as it was sent (`header` reads it), and the bytes of the rest."""

    header: bytes
    payload: bytes
    signed: bytes
    signature: bytes


def parts(text: str) -> Parts:
    """Raises:
    ValueError: it is no JWS.
    """
    signed, _, signature = text.encode("ascii").rpartition(b".")
    encoded, dot, payload = signed.partition(b".")
    if not dot:
        raise ValueError("a JWS has three parts")
    return Parts(encoded, _decoded(payload), signed, _decoded(signature))


def header(encoded: bytes) -> dict[str, Any]:
    """Raises:
    ValueError: it is none, or asks for an extension (`crit`).
    """
    members = json_object(_decoded(encoded))
    if "crit" in members or "b64" in members:
        raise ValueError("no extension of RFC 7515 is known here")
    return members


def json_object(payload: bytes) -> dict[str, Any]:
    """Raises:
    ValueError: it is no JSON object.
    """
    members = orjson.loads(payload)
    if not isinstance(members, dict):
        raise ValueError("it is not an object")  # noqa: TRY004
    return members


def _decoded(text: bytes) -> bytes:
    # Of the other alphabet (RFC 4648, section 4), which the decoder takes too.
    if b"+" in text or b"/" in text:
        raise ValueError("it is not base64url")
    return b64decode(text + b"=" * (-len(text) % 4), b"-_", validate=True)
