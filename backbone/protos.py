"""Generates Python from the contracts: ``python -m backbone.protos`` (``make protos``).

Directory = package = Python path, so ``from administration.documents.v1 import documents_pb2``
works without a rewritten import. Nothing generated is committed; a stamp of the inputs makes a
second run free.
"""

import hashlib
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "protos"
TARGET = ROOT / "gen"
DESCRIPTORS = "administration/descriptors.binpb"


def third_party() -> dict[str, Path]:
    """Contracts that come with installed distributions, by import path."""
    packages = Path(sysconfig.get_paths()["purelib"])
    return {
        "google/api/annotations.proto": packages / "google/api/annotations.proto",
        "google/api/http.proto": packages / "google/api/http.proto",
    }


def generate() -> bool:
    """Brings `gen/` up to date; false when it already was.

    Raises:
        SystemExit: a contract does not compile; protoc has said where.
    """
    protos = sorted(SOURCE.rglob("*.proto"))
    stamp = TARGET / ".stamp"
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in protos:
        digest.update(path.relative_to(SOURCE).as_posix().encode() + path.read_bytes())
    if stamp.exists() and stamp.read_text() == digest.hexdigest():
        return False

    shutil.rmtree(TARGET, ignore_errors=True)
    include = TARGET / "include"
    for name, source in third_party().items():
        (include / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, include / name)
    (TARGET / DESCRIPTORS).parent.mkdir(parents=True)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"-I{SOURCE}",
            f"-I{include}",
            f"--python_out={TARGET}",
            f"--mypy_out=quiet:{TARGET}",
            f"--plugin=protoc-gen-mypy={Path(sys.executable).parent / 'protoc-gen-mypy'}",
            # Comments live only here: the OpenAPI document is written from them.
            f"--descriptor_set_out={TARGET / DESCRIPTORS}",
            "--include_source_info",
            *(str(path.relative_to(SOURCE)) for path in protos),
        ],
        cwd=SOURCE,
        check=True,
    )
    stamp.write_text(digest.hexdigest())
    return True


if __name__ == "__main__":
    print("gen/: generated" if generate() else "gen/: up to date")
