"""Programs that are quicker than what they stand around: load generators, a backend."""

import os
import shutil
import subprocess
from pathlib import Path

from deploy.local.paths import OPT, ROOT

GHZ = "github.com/bojand/ghz/cmd/ghz@v0.93.0"


class ToolMissing(Exception):
    """A program is not here; the message is the command that installs it."""


def ghz() -> str:
    """gRPC's load generator, installed under ``.local/opt/bin`` when it is missing.

    Raises:
        ToolMissing: it is not there, and Go to build it is not either.
    """
    program = OPT / "bin" / "ghz"
    if not program.exists():
        print(f"installing {GHZ} …", flush=True)
        program.parent.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "GOBIN": str(program.parent)}
        subprocess.run((_go(), "install", GHZ), env=environment, check=True)
    return str(program)


def built(folder: str) -> str:
    """The program of a Go module of this repository, built under ``.local/opt/bin``.

    Raises:
        ToolMissing: Go is not installed.
    """
    program = OPT / "bin" / Path(folder).name
    subprocess.run((_go(), "build", "-o", program, "."), cwd=ROOT / folder, check=True)
    return str(program)


def _go() -> str:
    program = shutil.which("go")
    if program is None:
        raise ToolMissing("Go is missing: apt-get install golang-go")
    return program


def wrk() -> str:
    """HTTP's load generator.

    Raises:
        ToolMissing: it is not installed.
    """
    program = shutil.which("wrk")
    if program is None:
        raise ToolMissing("wrk is missing: apt-get install wrk")
    return str(Path(program))


def version(*command: str) -> str:
    """The first line of what a program says about its version."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    return lines[0].strip() if lines else "unknown"
