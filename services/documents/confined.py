"""A program of its own for what parses a stranger's bytes, which may break it.

It gets no environment (no secret), no folder and no terminal of ours; content goes in and out by
memory, never by a disk. How much it may take it says itself, before it reads.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager


def command(module: str, *arguments: str) -> list[str]:
    """What runs a module of ours as such a program."""
    return [sys.executable, "-I", "-m", module, *arguments]


def run(
    program: Sequence[str], chunks: Iterable[bytes], seconds: float, *, niceness: int = 0
) -> tuple[int, bytes]:
    """Its exit code (a signal's number below zero) and its standard output, for this input.
    `niceness` (nice(2)) above 0 is for what nobody waits for: it gives way to those who are served.

    Raises:
        subprocess.TimeoutExpired: it took longer, and is no more. Whatever `chunks` raises passes
        through.
    """
    with _memory("given") as given, _memory("said") as said:
        for chunk in chunks:
            _write(given, chunk)
        os.lseek(given, 0, os.SEEK_SET)
        code = _code(program, given, said, seconds, niceness)
        return code, os.pread(said, os.fstat(said).st_size, 0)


def _code(program: Sequence[str], given: int, said: int, seconds: float, niceness: int) -> int:
    process = subprocess.Popen(
        program,
        stdin=given,
        stdout=said,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,
    )
    try:
        os.setpriority(os.PRIO_PROCESS, process.pid, niceness)
        return process.wait(seconds)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def _memory(name: str) -> Iterator[int]:
    """A file that is in memory alone."""
    descriptor = os.memfd_create(name)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
