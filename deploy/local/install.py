"""Installing programs under `.local/opt`: whole or not at all, once per recipe."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.paths import LOG, OPT

MARKER = ".installed"


@dataclass(frozen=True)
class Program:
    """A program and how it is built. `build` fills an empty folder; it is tried again when `recipe`
    changes.
    """

    name: str
    version: str
    recipe: str  # everything the result depends on: when it changes, the program is installed anew
    build: Callable[[Path], None]
    takes: str  # how long, for who waits

    @property
    def home(self) -> Path:
        """Where it is once installed."""
        return OPT / f"{self.name}-{self.version}"

    @property
    def installed(self) -> bool:
        """True when the folder is there and was made by this recipe."""
        marker = self.home / MARKER
        return marker.exists() and marker.read_text() == self.recipe


def install(program: Program, say: Callable[[str], None]) -> None:
    """Have `program` installed. An interrupted one leaves nothing that could be taken for a
    finished one.
    """
    if program.installed:
        return
    say(f"{program.name}: installing {program.version} ({program.takes})")
    began = time.monotonic()
    OPT.mkdir(parents=True, exist_ok=True)
    for leftover in OPT.glob(f".{program.name}-*"):
        shutil.rmtree(leftover)
    draft = Path(tempfile.mkdtemp(prefix=f".{program.name}-", dir=OPT))
    draft.chmod(0o755)
    program.build(draft)
    (draft / MARKER).write_text(program.recipe)
    if program.home.exists():
        shutil.rmtree(program.home)
    draft.rename(program.home)
    say(f"{program.name}: installed in {time.monotonic() - began:.0f} s")


def run_logged(
    name: str,
    command: Sequence[str],
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a step of an installation; its words go to `.local/log/install-<name>.log`, and its end
    to the error.
    """
    LOG.mkdir(parents=True, exist_ok=True)
    path = LOG / f"install-{name}.log"
    with path.open("a") as log:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        raise StackError(
            f"installing {name} failed ({command[0]} returned {done.returncode}):\n{tail(path)}",
            f"see {path}, then run the same command again: it goes on from here",
        )


def tail(path: Path, lines: int = 15) -> str:
    """The last lines of a log, indented; says so when there is none."""
    if not path.exists():
        return f"  (no log at {path})"
    return "\n".join(
        f"  | {line}" for line in path.read_text(errors="replace").splitlines()[-lines:]
    )
