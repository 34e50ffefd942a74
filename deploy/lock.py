"""Pins what pyproject.toml allows: ``make lock``, or ``make lock UPGRADE=1`` for newer versions.

Three files, hashes only, no address: `requirements.lock` for a developer's machine and CI, and the
same versions for the image, which carries neither tools nor the local stack, and for its build.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAIN = "requirements.lock"
LOCKS = {
    MAIN: ["--all-extras", "pyproject.toml"],
    "deploy/requirements-image.lock": ["--constraint", MAIN, "pyproject.toml"],
    "deploy/requirements-build.lock": ["--constraint", MAIN, "deploy/requirements-build.in"],
}


def main() -> None:
    uv = Path(sys.executable).with_name("uv")
    upgrade = ["--upgrade"] if os.environ.get("UPGRADE") else []
    for name, source in LOCKS.items():
        subprocess.run(
            [
                str(uv),
                "pip",
                "compile",
                "--quiet",
                "--universal",
                "--python-version=3.11",
                "--generate-hashes",
                "--no-header",
                "--no-annotate",
                *source,
                *upgrade,
                f"--output-file={name}",
            ],
            cwd=ROOT,
            check=True,
        )
        print(f"{name}: pinned")


if __name__ == "__main__":
    main()
