"""A side of a bench in a process of its own: started, waited for, stopped."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from deploy.local.paths import LOG, ROOT

START_SECONDS = 30.0
STOP_SECONDS = 30.0


class ChildFailed(Exception):
    """A side of the bench did not come up; the message names its log."""


def free_address() -> str:
    """An address on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def python(*arguments: str) -> tuple[str, ...]:
    """The command that runs a module."""
    return (sys.executable, "-m", *arguments)


@contextmanager
def running(
    name: str, command: tuple[str, ...], environment: Mapping[str, str], address: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `command` while the block does, from when it listens on `address`.

    Raises:
        ChildFailed: it ended, or did not listen in time.
    """
    LOG.mkdir(parents=True, exist_ok=True)
    with (LOG / f"bench-{name}.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait(name, process, address)
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(name: str, process: "subprocess.Popen[bytes]", address: str) -> None:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise ChildFailed(f"{name} does not listen on {address}: see {LOG / f'bench-{name}.log'}")
