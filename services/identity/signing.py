"""Signed records: compact JWS (RFC 7515) with Ed25519 (RFC 8037, RFC 9864), by `joserfc`."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jws
from joserfc.jwk import OKPKey
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone.settings import PREFIX, load

ALGORITHM = "Ed25519"
SEED_BYTES = 32


class SigningSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}IDENTITY_")

    signing_keys: SecretStr = Field(
        description="Ed25519 private keys (RFC 8032: 32 bytes in base64), separated by commas: the"
        " first one signs, the others are kept so that earlier records can be verified"
    )

    @field_validator("signing_keys")
    @classmethod
    def _are_seeds(cls, value: SecretStr) -> SecretStr:
        try:
            sizes = [len(seed) for seed in seeds(value.get_secret_value())]
        except binascii.Error:
            sizes = []
        if not sizes or set(sizes) != {SEED_BYTES}:
            raise ValueError("must be 32 bytes in base64 each: `openssl rand -base64 32`")
        return value


def seeds(text: str) -> list[bytes]:
    return [base64.b64decode(item.strip(), validate=True) for item in text.split(",")]


class Signer:
    """Signs statements, and shows the keys that verify them. Safe to share between threads."""

    def __init__(self, private_keys: list[bytes]) -> None:
        self._keys = [_key(seed) for seed in private_keys]

    def sign(self, kind: str, statement: Mapping[str, Any]) -> str:
        """The compact JWS of a statement; `kind` becomes its `typ`."""
        key = self._keys[0]
        header = {"alg": ALGORITHM, "kid": key.thumbprint(), "typ": kind}
        return jws.serialize_compact(header, orjson.dumps(statement), key, algorithms=[ALGORITHM])

    def public_keys(self) -> list[dict[str, str]]:
        """JWKs (RFC 7517), the one that signs first."""
        return [
            {
                **{name: str(value) for name, value in key.as_dict(private=False).items()},
                "kid": key.thumbprint(),
                "alg": ALGORITHM,
                "use": "sig",
            }
            for key in self._keys
        ]


def _key(seed: bytes) -> OKPKey:
    pem = Ed25519PrivateKey.from_private_bytes(seed).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    return OKPKey.import_key(pem)


class Signing(DependencyProvider):  # type: ignore[misc]
    """Injects the `Signer`."""

    def setup(self) -> None:
        settings = load(SigningSettings)
        self._signer = Signer(seeds(settings.signing_keys.get_secret_value()))

    def get_dependency(self, worker_ctx: WorkerContext) -> Signer:
        return self._signer
