"""Pins what pyproject.toml allows: ``make lock``.

Two files, hashes only, no address: `requirements.lock` for a developer's machine and CI,
`deploy/requirements-image.lock` for the image, which carries neither tools nor the local stack.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = {"requirements.lock": ["--all-extras"], "deploy/requirements-image.lock": []}


def main() -> None:
    uv = Path(sys.executable).with_name("uv")
    for name, extras in LOCKS.items():
        subprocess.run(
            [
                str(uv),
                "pip",
                "compile",
                "--quiet",
                "--upgrade",
                "--universal",
                "--python-version=3.11",
                "--generate-hashes",
                "--no-header",
                "--no-annotate",
                *extras,
                "pyproject.toml",
                f"--output-file={name}",
            ],
            cwd=ROOT,
            check=True,
        )
        print(f"{name}: pinned")


if __name__ == "__main__":
    main()
