"""versitygw: a second S3 server, unlike the first. It runs while a test needs it."""

import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import urllib3
from pydantic import SecretStr

from deploy.local.install import install
from deploy.local.programs import VERSITYGW
from services.documents.s3 import StorageSettings
from tests.support.polling import eventually
from tests.support.processes import free_port, running

ROOT_KEY = "operator"


@dataclass(frozen=True)
class Versitygw:
    """A running server: how it is reached by its root account, and where its bytes are."""

    settings: StorageSettings
    data: Path
    process: subprocess.Popen[bytes]


@contextmanager
def versitygw(
    folder: Path, say: Callable[[str], None], data: Path | None = None
) -> Iterator[Versitygw]:
    """A server of its own, on a free port, with its files in `folder`, or its objects in `data`.

    Built when it was not yet: `say` is told.
    """
    install(VERSITYGW, say)
    data = data or folder / "objects"
    versions = folder / "versions"
    for each in (data, versions):
        each.mkdir(parents=True, exist_ok=True)
    address, secret = f"127.0.0.1:{free_port()}", secrets.token_urlsafe(24)
    command = (
        str(VERSITYGW.home / "versitygw"),
        *("--port", address, "--health", "/health", "posix", "--versioning-dir", str(versions)),
        str(data),
    )
    account = {"ROOT_ACCESS_KEY": ROOT_KEY, "ROOT_SECRET_KEY": secret}
    log = folder / "versitygw.log"
    with running(*command, environment=account, log=log) as process:
        eventually(lambda: _healthy(address, process, log))
        yield Versitygw(
            StorageSettings(
                endpoint=address,
                access_key=ROOT_KEY,
                secret_key=SecretStr(secret),
                bucket="vault",
                secure=False,
            ),
            data,
            process,
        )


def _healthy(address: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return urllib3.request("GET", f"http://{address}/health", retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False
