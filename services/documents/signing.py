"""Who answers for the log: the key that signs its checkpoints, the authority that stamps them."""

import base64
import binascii
from pathlib import Path
from typing import Protocol

import requests
import urllib3
from cryptography import x509
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone.errors import Unavailable
from backbone.receipts import stamps
from backbone.receipts.notes import NoteError, Signer
from backbone.settings import PREFIX, load

# One reply is a few KiB: an authority that sends more is none.
MAX_REPLY_BYTES = 64 * 1024
TIMEOUT = (3.05, 10)


class ReceiptSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}RECEIPTS_", validate_default=True)

    origin: str = Field(
        description="the log's name in its checkpoints, such as api.example.org/receipts; for good"
    )
    key: SecretStr = Field(description="32 random bytes in base64: `openssl rand -base64 32`")
    tsa_url: str = Field(default="", description="a time-stamping authority (RFC 3161); or none")
    tsa_cafile: Path | None = Field(default=None, description="its root certificate, in PEM")

    def signer(self) -> Signer:
        """Raises:
        NoteError: the origin or the key cannot be one.
        """
        try:
            seed = base64.b64decode(self.key.get_secret_value(), validate=True)
        except binascii.Error:
            raise NoteError("the key is not base64") from None
        return Signer(self.origin, seed)

    @field_validator("key")
    @classmethod
    def _usable(cls, key: SecretStr, info: ValidationInfo) -> SecretStr:
        if "origin" in info.data:
            try:
                cls.model_construct(origin=info.data["origin"], key=key).signer()
            except NoteError as error:
                raise ValueError(f"{error}; make one with `openssl rand -base64 32`") from None
        return key

    @field_validator("tsa_cafile")
    @classmethod
    def _readable(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if not info.data.get("tsa_url"):
            return path
        if path is None:
            raise ValueError("is needed with a time-stamping authority: a file of its root in PEM")
        try:
            stamps.load_roots(path)
        except (OSError, ValueError):
            raise ValueError("is not a readable file of certificates in PEM") from None
        return path


class Authority(Protocol):
    """What the log needs of a time-stamping authority."""

    def stamp(self, note: str) -> bytes:
        """The authority's reply about a note, checked.

        Raises:
            Unavailable: it does not answer, or not as it should.
        """


class HttpAuthority:
    """An `Authority` over HTTP (RFC 3161, section 3.4)."""

    def __init__(self, url: str, roots: list[x509.Certificate]) -> None:
        self._url, self._roots = url, roots

    def stamp(self, note: str) -> bytes:
        asked = stamps.request(note)
        try:
            with requests.post(
                self._url,
                data=asked.as_bytes(),
                headers={"Content-Type": stamps.QUERY},
                timeout=TIMEOUT,
                stream=True,
            ) as answer:
                answer.raise_for_status()
                reply: bytes = answer.raw.read(MAX_REPLY_BYTES, decode_content=True)
            stamps.check(reply, note, self._roots, asked)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            words = f"The time-stamping authority does not answer ({type(error).__name__})."
            raise Unavailable(words) from error
        except stamps.StampError as error:
            words = f"The time-stamping authority's reply is not good: {error}"
            raise Unavailable(words) from error
        return reply


class Seals:
    """What seals the log: its signer, and an authority where one is configured."""

    def __init__(self, signer: Signer, authority: Authority | None = None) -> None:
        self.signer, self.authority = signer, authority


class Sealing(DependencyProvider):  # type: ignore[misc]
    """Injects the `Seals`. Without a key the service does not start."""

    def setup(self) -> None:
        settings = load(ReceiptSettings)
        authority = None
        if settings.tsa_url and settings.tsa_cafile:
            authority = HttpAuthority(settings.tsa_url, stamps.load_roots(settings.tsa_cafile))
        self._seals = Seals(settings.signer(), authority)

    def get_dependency(self, worker_ctx: WorkerContext) -> Seals:
        return self._seals
