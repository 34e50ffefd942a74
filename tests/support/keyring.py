"""A keyring of a test's own: identity's tables in a schema apart, master keys of its own."""

import base64
import os
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from backbone.wrapping import new_key
from tests.support.events import Scratch
from tests.support.polling import eventually
from tests.support.processes import BACKBONE, backbone, free_port, running
from tests.support.rpc import Client


def master_key() -> bytes:
    """A master key that no other test has."""
    return new_key()


def keyring(stack: dict[str, Any], *arguments: str) -> str:
    """What `backbone keyring` says, with the environment of the stack's identity."""
    done = backbone(stack["services"]["identity"]["environment"], "keyring", *arguments)
    done.check_returncode()
    return done.stdout


class Lab:
    """Commands and processes of identity on a schema of their own."""

    def __init__(self, stack: dict[str, Any], scratch: Scratch) -> None:
        self._environment: dict[str, str] = stack["services"]["identity"]["environment"]
        self.db = scratch.transactions
        self._url = scratch.url()

    def environment(self, masters: Sequence[bytes]) -> dict[str, str]:
        keys = ",".join(base64.b64encode(key).decode() for key in masters)
        return self._environment | {
            "BACKBONE_DATABASE_URL": self._url,
            "BACKBONE_DATABASE_POOL_SIZE": "5",
            "BACKBONE_KEYRING_MASTER_KEYS": keys,
            "BACKBONE_OTLP_ENDPOINT": "",
            "BACKBONE_GRPC_LISTEN": f"127.0.0.1:{free_port()}",
            "BACKBONE_OPS_LISTEN": f"127.0.0.1:{free_port()}",
        }

    def start(self, masters: Sequence[bytes], *arguments: str) -> subprocess.Popen[str]:
        """A command of `backbone`, begun."""
        return subprocess.Popen(
            (BACKBONE, *arguments),
            env=os.environ | self.environment(masters),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, masters: Sequence[bytes], *arguments: str) -> tuple[int, str]:
        """The exit code of a command of `backbone`, and what it said."""
        with self.start(masters, *arguments) as process:
            said, _ = process.communicate(timeout=120)
        return process.returncode, said

    @contextmanager
    def identity(self, masters: Sequence[bytes], log: Path) -> Iterator[Client]:
        """A process of identity, ready; its client."""
        settings = self.environment(masters)
        with running(BACKBONE, "serve", "identity", environment=settings, log=log):
            eventually(lambda: '"status": "ready"' in _told(settings), within=60)
            client = Client("identity", settings["BACKBONE_GRPC_LISTEN"])
            yield client
            client.close()

    def readiness(self, masters: Sequence[bytes], log: Path) -> str:
        """What a process of identity says, once it answers, of its being ready."""
        settings = self.environment(masters)
        with running(BACKBONE, "serve", "identity", environment=settings, log=log):
            eventually(lambda: "master keys" in _told(settings), within=60)
            return _told(settings)


def _told(settings: dict[str, str]) -> str:
    try:
        return httpx.get(f"http://{settings['BACKBONE_OPS_LISTEN']}/readyz").text
    except httpx.TransportError:
        return ""


@contextmanager
def lab(stack: dict[str, Any]) -> Iterator[Lab]:
    schema = f"essai_{uuid.uuid4().hex}"
    scratch = Scratch(stack, schema)
    with scratch.engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    try:
        opened = Lab(stack, scratch)
        code, said = opened.run([master_key()], "migrate", "identity")
        assert code == 0, said
        yield opened
    finally:
        with scratch.engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
        scratch.engine.dispose()
