"""A partner's configuration file: `NAME=value` lines, which are a shell's environment file and
Java's properties at once. Its samples and `backbone partner check` read it.
"""

import os
import tempfile
from dataclasses import dataclass, field, fields
from pathlib import Path

from backbone.partners.partner import PartnerError


@dataclass(frozen=True, slots=True)
class Configuration:
    """Everything that a partner's consumer needs. Names in the file are these in upper case."""

    client_id: str
    client_secret: str = field(repr=False)
    administration: str
    issuer: str
    token_url: str
    audience: str
    kafka_bootstrap: str
    kafka_security_protocol: str
    # PEM of the listener's authority; empty: those that the system trusts.
    kafka_cafile: str
    # Separated by commas.
    topics: str
    group: str

    def text(self) -> str:
        """The file's content."""
        lines = (f"{item.name.upper()}={getattr(self, item.name)}\n" for item in fields(self))
        return f"# {self.client_id}. Keep it to yourselves: it holds your secret.\n" + "".join(
            lines
        )

    def granted(self) -> list[str]:
        return [name.strip() for name in self.topics.split(",") if name.strip()]


def read(path: Path) -> Configuration:
    """Raises:
    PartnerError: it cannot be read, or lacks a name.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PartnerError(f"{path} cannot be read: {_reason(error)}") from error
    pairs = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    names = [item.name for item in fields(Configuration)]
    if missing := [name.upper() for name in names if name.upper() not in pairs]:
        raise PartnerError(f"{path} lacks {', '.join(missing)}")
    return Configuration(**{name: pairs[name.upper()].strip() for name in names})


def write(path: Path, content: str) -> None:
    """Writes a file that its owner alone can read, whole or not at all.

    Raises:
        PartnerError: it cannot be written.
    """
    try:
        # Private from its first byte on.
        number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(number, "w") as file:
                file.write(content)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise PartnerError(f"{path} cannot be written: {_reason(error)}") from error


def exposed(path: Path) -> bool:
    """Whether others than its owner may read it."""
    return bool(path.stat().st_mode & 0o077)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or type(error).__name__
