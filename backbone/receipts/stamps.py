"""Time stamps (RFC 3161) of a checkpoint's note, asked for and checked with `rfc3161-client`."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimeStampRequest,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

QUERY, REPLY = "application/timestamp-query", "application/timestamp-reply"


class StampError(Exception):
    """A time stamp is none, or not of these data by an authority that is trusted."""


def request(note: str) -> TimeStampRequest:
    """What an authority is asked: to stamp the SHA-256 of a note, and to send its certificates."""
    builder = TimestampRequestBuilder().data(note.encode()).hash_algorithm(HashAlgorithm.SHA256)
    return builder.nonce(nonce=True).cert_request(cert_request=True).build()


def check(
    reply: bytes,
    note: str,
    roots: Sequence[x509.Certificate],
    asked: TimeStampRequest | None = None,
) -> datetime:
    """When an authority under one of `roots` saw the note; with `asked`, in answer to that.

    Raises:
        StampError: says what is wrong with the reply (a DER ``TimeStampResp``).
    """
    builder = VerifierBuilder.from_request(asked) if asked is not None else VerifierBuilder()
    for root in roots:
        builder = builder.add_root_certificate(root)
    try:
        stamped = decode_timestamp_response(reply)
        builder.build().verify_message(stamped, note.encode())
    except (VerificationError, ValueError) as error:
        raise StampError(str(error)) from None
    return stamped.tst_info.gen_time


def told(reply: bytes) -> datetime:
    """When a reply says that its authority saw the note, unchecked.

    Raises:
        StampError: it is no reply.
    """
    try:
        return decode_timestamp_response(reply).tst_info.gen_time
    except ValueError as error:
        raise StampError(str(error)) from None


def load_roots(path: Path) -> list[x509.Certificate]:
    """The certificates of a PEM file.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds none.
    """
    return x509.load_pem_x509_certificates(path.read_bytes())
