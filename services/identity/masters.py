"""The master keys, which wrap the owners' keys: from the environment or a file, newest first."""

import base64
import binascii
import hashlib
import re
import uuid
from pathlib import Path

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone import wrapping
from backbone.settings import PREFIX

_MEND = "must be 32 bytes in base64 each, none twice: `openssl rand -base64 32`"


class KeyringSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}KEYRING_", validate_default=True)

    master_keys: SecretStr = Field(
        default=SecretStr(""),
        description="32 bytes in base64 each, separated by commas: the first one wraps, the others"
        " unwrap until `backbone keyring rotate` has wrapped everything by the first",
    )
    master_keys_file: Path | None = Field(
        default=None, description="a file of them instead, one a line; read once, at the start"
    )

    @field_validator("master_keys")
    @classmethod
    def _are_keys(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() and not _decoded(value.get_secret_value()):
            raise ValueError(_MEND)
        return value

    @field_validator("master_keys_file")
    @classmethod
    def _either(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if "master_keys" not in info.data:
            return path
        if (path is None) == (not info.data["master_keys"].get_secret_value()):
            raise ValueError(f"either this or {PREFIX}KEYRING_MASTER_KEYS has to be set")
        if path is None:
            return path
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError):
            raise ValueError("is not a file that can be read") from None
        if not _decoded(text):
            raise ValueError(f"its lines {_MEND}")
        return path

    def masters(self) -> "Masters":
        path = self.master_keys_file
        return Masters(_decoded(path.read_text() if path else self.master_keys.get_secret_value()))


def _decoded(text: str) -> list[bytes]:
    """The keys of a text; none when one of them is none."""
    try:
        keys = [base64.b64decode(item, validate=True) for item in re.split(r"[,\s]+", text.strip())]
    except (binascii.Error, ValueError):
        return []
    sound = {len(key) for key in keys} == {wrapping.KEY_BYTES} and len(set(keys)) == len(keys)
    return keys if sound else []


class MasterMissing(Exception):
    """The key that wrapped something is not among those configured; the message names it."""


class Masters:
    """Wraps with the newest master key, unwraps with any. Safe to share between threads."""

    def __init__(self, keys: list[bytes]) -> None:
        self._keys = {_name(key): key for key in keys}
        self.newest = next(iter(self._keys))

    @property
    def names(self) -> list[str]:
        """Stable names of the keys, the newest first; they tell nothing of the keys."""
        return list(self._keys)

    def wrap(self, owner_id: uuid.UUID, key_id: uuid.UUID, key: bytes) -> bytes:
        """An owner's key, wrapped by the newest master key."""
        return wrapping.wrap(self._keys[self.newest], key, _context(owner_id, key_id))

    def unwrap(self, owner_id: uuid.UUID, key_id: uuid.UUID, master: str, wrapped: bytes) -> bytes:
        """Raises:
        MasterMissing: `master` is not configured. WrappingError: the row was altered.
        """
        if master not in self._keys:
            raise MasterMissing(f"the master key {master} is not configured")
        return wrapping.unwrap(self._keys[master], wrapped, _context(owner_id, key_id))


def _name(key: bytes) -> str:
    return hashlib.sha256(b"backbone master key\0" + key).hexdigest()[:16]


def _context(owner_id: uuid.UUID, key_id: uuid.UUID) -> bytes:
    return b"owner key\0" + owner_id.bytes + key_id.bytes
