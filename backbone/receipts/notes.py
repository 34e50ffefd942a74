"""Signed notes: C2SP ``tlog-checkpoint`` in C2SP ``signed-note``, with Ed25519 (RFC 8032).

A checkpoint is the log's name, its size and its root hash. Whoever keeps one can later ask that
the log still begins with what it held then. The same key signs what proves a destruction
(`destruction`), a text that cannot be taken for a checkpoint.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from backbone.receipts.merkle import HASH_BYTES

_ED25519 = b"\x01"
_NAME = re.compile(r"[^\s+]+")
_CHECKPOINT = re.compile(r"(?P<origin>.+)\n(?P<size>0|[1-9]\d*)\n(?P<root>\S+)\n(?:.+\n)*", re.A)
_SIGNATURE = re.compile(r"— (?P<name>[^\s+]+) (?P<value>[A-Za-z0-9+/]+=*)")


class NoteError(Exception):
    """A note, a checkpoint or a key is not what it should be; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a log has come."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{_encode(self.root)}\n"


@dataclass(frozen=True, slots=True)
class Verifier:
    """A log's public key, with its name."""

    name: str
    public_key: Ed25519PublicKey

    @classmethod
    def parse(cls, text: str) -> "Verifier":
        """From ``<name>+<key id>+<key>``, as signed notes write it.

        Raises:
            NoteError: it is no such key.
        """
        name, _, rest = text.strip().partition("+")
        key_id, _, encoded = rest.partition("+")
        key = _decode(encoded, "the key")
        if not _NAME.fullmatch(name) or len(key) != 33 or key[:1] != _ED25519:
            raise NoteError("the key is not of the form <name>+<key id>+<Ed25519 key in base64>")
        made = cls(name, Ed25519PublicKey.from_public_bytes(key[1:]))
        if made.key_id.hex() != key_id:
            raise NoteError("the key's id is not that of the key: it was cut or altered")
        return made

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{_encode(_ED25519 + self._raw)}"

    @property
    def key_id(self) -> bytes:
        return sha256(f"{self.name}\n".encode() + _ED25519 + self._raw).digest()[:4]

    @property
    def _raw(self) -> bytes:
        return self.public_key.public_bytes_raw()

    def open(self, note: str) -> Checkpoint:
        """The checkpoint that a note carries, if this key signed it for this log.

        Raises:
            NoteError: it did not, or what is signed is no checkpoint of this log.
        """
        checkpoint = read(note)
        self.require_signed(note)
        if checkpoint.origin != self.name:
            raise NoteError(f"it is of the log {checkpoint.origin}, not {self.name}")
        return checkpoint

    def require_signed(self, note: str) -> None:
        """Raises:
        NoteError: this key did not sign the note, whatever it says.
        """
        text, _, signatures = note.rpartition("\n\n")
        for line in signatures.splitlines():
            found = _SIGNATURE.fullmatch(line)
            if found is None:
                raise NoteError("a line of signature is malformed")
            value = _decode(found["value"], "a signature")
            # Others, such as witnesses, may sign the same note.
            if found["name"] == self.name and value[:4] == self.key_id:
                try:
                    self.public_key.verify(value[4:], f"{text}\n".encode())
                except InvalidSignature:
                    raise NoteError(f"the signature of {self.name} is forged") from None
                return
        raise NoteError(f"it is not signed by {self.name} with the key {self.key_id.hex()}")


class Signer:
    """Signs the checkpoints of one log, whose name is the key's."""

    def __init__(self, name: str, seed: bytes) -> None:
        """Raises:
        NoteError: the name or the seed (32 bytes) cannot be of a key.
        """
        if not _NAME.fullmatch(name):
            raise NoteError("the log's name may hold neither a space nor a `+`")
        if len(seed) != 32:
            raise NoteError("the key is not 32 bytes long")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, self._key.public_key())

    def sign(self, size: int, root: bytes) -> str:
        """The note of a checkpoint."""
        return self.sign_text(Checkpoint(self.verifier.name, size, root).text())

    def sign_text(self, text: str) -> str:
        """The note of a text, which ends with a line feed and begins unlike any other kind."""
        name = self.verifier.name
        value = self.verifier.key_id + self._key.sign(text.encode())
        return f"{text}\n— {name} {_encode(value)}\n"


def read(note: str) -> Checkpoint:
    """What a note says, whoever signed it.

    Raises:
        NoteError: it is no signed checkpoint.
    """
    text, separator, signatures = note.rpartition("\n\n")
    found = _CHECKPOINT.fullmatch(f"{text}\n")
    if not separator or found is None or not signatures.endswith("\n"):
        raise NoteError("it is not a signed checkpoint")
    root = _decode(found["root"], "the root hash")
    if len(root) != HASH_BYTES:
        raise NoteError("the root hash is not 32 bytes long")
    return Checkpoint(found["origin"], int(found["size"]), root)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decode(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NoteError(f"{what} is not base64") from None
