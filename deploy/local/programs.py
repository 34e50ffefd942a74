"""The programs that no Python package carries: what they are, where they come from, what must be
there to get them.
"""

import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

from deploy.local import clamav
from deploy.local.clamav import CLAMAV
from deploy.local.errors import StackError
from deploy.local.install import Program, run_logged

KAFKA_VERSION = "4.3.1"
KEYCLOAK_VERSION = "26.7.3"
MINIO_VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"
VERSITYGW_VERSION = "v1.8.0"

POM = Path(__file__).with_name("kafka-pom.xml")
KEYCLOAK_BUILD = ("--db=postgres", "--health-enabled=true", "--metrics-enabled=true")

# Maven 3 does not lock its repository against a second Maven.
_maven = threading.Lock()


def check_prerequisites() -> None:
    """Raise StackError naming each tool that is missing, with the command that installs it."""
    missing = []
    if _java_major() < 17:
        missing.append(
            (
                "Java 17 or newer",
                "apt-get install openjdk-17-jdk-headless  (brew install openjdk@17)",
            )
        )
    if not (KAFKA.installed and KEYCLOAK.installed) and not shutil.which("mvn"):
        missing.append(("Maven", "apt-get install maven  (brew install maven)"))
    if not MINIO.installed and not shutil.which("go"):
        missing.append(("Go 1.21 or newer", "apt-get install golang-go  (brew install go)"))
    if not shutil.which("openssl"):
        missing.append(("OpenSSL (time stamps)", "apt-get install openssl  (brew install openssl)"))
    if clamav.program() and not (CLAMAV.installed or shutil.which("apt-get")):
        missing.append(("ClamAV's clamd", "(brew install clamav)"))
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        missing.append(
            ("setpriv (PostgreSQL refuses to run as root)", "apt-get install util-linux")
        )
    if missing:
        raise StackError(
            "missing: " + ", ".join(tool for tool, _ in missing),
            "\n    ".join(command for _, command in missing),
        )


def _java_major() -> int:
    java = shutil.which("java")
    if java is None:
        return 0
    words = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', words)
    return int(found.group(1)) if found else 0


def _build_kafka(folder: Path) -> None:
    with _maven:
        run_logged(
            "kafka",
            (
                "mvn",
                "-B",
                "-ntp",
                "-f",
                str(POM),
                f"-Dkafka.version={KAFKA_VERSION}",
                f"-DoutputDirectory={folder / 'libs'}",
                f"-DbuildDirectory={folder / 'target'}",
                "dependency:copy-dependencies",
            ),
        )


def _build_keycloak(folder: Path) -> None:
    with _maven:
        run_logged(
            "keycloak",
            (
                "mvn",
                "-B",
                "-ntp",
                "dependency:copy",
                f"-DoutputDirectory={folder}",
                f"-Dartifact=org.keycloak:keycloak-quarkus-dist:{KEYCLOAK_VERSION}:zip",
            ),
            cwd=folder,
        )
    (archive,) = folder.glob("*.zip")
    shutil.unpack_archive(archive, folder)
    archive.unlink()
    (unpacked,) = folder.glob("keycloak-*")
    for entry in unpacked.iterdir():
        entry.rename(folder / entry.name)
    unpacked.rmdir()
    # The build step settles what cannot change between starts, so that a start takes seconds.
    run_logged(
        "keycloak", ("sh", str(folder / "bin" / "kc.sh"), "build", *KEYCLOAK_BUILD), cwd=folder
    )


def _build_minio(folder: Path) -> None:
    _go_install("minio", f"github.com/minio/minio@{MINIO_VERSION}", folder)


def _build_versitygw(folder: Path) -> None:
    package = f"github.com/versity/versitygw/cmd/versitygw@{VERSITYGW_VERSION}"
    _go_install("versitygw", package, folder)


def _go_install(name: str, package: str, folder: Path) -> None:
    if not shutil.which("go"):
        raise StackError(f"{name} is built with Go, which is missing", "apt-get install golang-go")
    run_logged(
        name,
        ("go", "install", "-ldflags", "-s -w", package),
        environment={"GOBIN": str(folder), "CGO_ENABLED": "0"},
    )


KAFKA = Program("kafka", KAFKA_VERSION, POM.read_text(), _build_kafka, "half a minute")
KEYCLOAK = Program(
    "keycloak", KEYCLOAK_VERSION, " ".join(KEYCLOAK_BUILD), _build_keycloak, "a minute"
)
MINIO = Program(
    "minio", MINIO_VERSION.rpartition("-")[2], MINIO_VERSION, _build_minio, "three minutes"
)
# A second object store, for the tests alone: no component of the stack.
VERSITYGW = Program(
    "versitygw", VERSITYGW_VERSION, VERSITYGW_VERSION, _build_versitygw, "three minutes"
)
