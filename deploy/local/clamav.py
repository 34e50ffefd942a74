"""clamd: the antivirus, with the one signature that tests and the demo need (EICAR's).

It is this machine's, where it has one; else Debian's packages, unpacked under `.local/opt`:
nothing is installed on the machine.
"""

import os
import shutil
import socket
from pathlib import Path

from deploy.local.install import Program, run_logged
from deploy.local.paths import DATA, RUN
from deploy.local.site import HOST, Site

FOLDER = DATA / "clamav"
CONFIGURATION = RUN / "clamd.conf"
MIB = 1024 * 1024
# Above what the gateway takes, so that nothing is refused here first.
MAX_BYTES = 128 * MIB
# Where administrators' programs are, which is not on everybody's path.
FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")

# A signature is its name, any kind of file, at the beginning, and the bytes (clamav's .ndb format):
# here those of the test file of eicar.org, which every antivirus takes for malware.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
SIGNATURE = f"Eicar-Test-Signature:0:0:{EICAR.hex()}\n"


def _build(folder: Path) -> None:
    state, cache = folder / "lists", folder / "cache"
    for each in (state / "partial", cache / "archives" / "partial"):
        each.mkdir(parents=True)
    # apt's own lists and archives need root, and are not to be touched.
    apt = ("apt-get", "-qq", "-o", f"Dir::State::Lists={state}", "-o", f"Dir::Cache={cache}",
           "-o", "Debug::NoLocking=1")  # fmt: skip
    run_logged("clamav", (*apt, "update"))
    wanted = ("--download-only", "--no-install-recommends", "-y", "install", "clamav-daemon")
    run_logged("clamav", (*apt, *wanted))
    for package in sorted((cache / "archives").glob("*.deb")):
        run_logged("clamav", ("dpkg", "--extract", str(package), str(folder)))
    # Their folder is named after the machine's kind.
    (libraries,) = folder.glob("usr/lib/*-linux-gnu*")
    libraries.rename(folder / "libraries")
    for each in (state, cache):
        shutil.rmtree(each)


CLAMAV = Program("clamav", "debian", "clamav-daemon", _build, "ten seconds")


def installed() -> str | None:
    """This machine's own clamd; None where it has none."""
    return shutil.which("clamd", path=os.pathsep.join((os.environ.get("PATH", ""), *FOLDERS)))


def program() -> Program | None:
    """What has to be installed first; None where the machine has it."""
    return None if installed() else CLAMAV


def command() -> tuple[str, ...]:
    """The daemon, in the foreground."""
    return (installed() or str(CLAMAV.home / "usr/sbin/clamd"), "-c", str(CONFIGURATION))


def environment() -> dict[str, str]:
    """Where the unpacked one finds its libraries."""
    return {} if installed() else {"LD_LIBRARY_PATH": str(CLAMAV.home / "libraries")}


def prepare(site: Site) -> None:
    """The signature, and the configuration: what is beyond its limits alerts, never passes."""
    temporary = FOLDER / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    signatures = FOLDER / "signatures"
    signatures.mkdir(exist_ok=True)
    (signatures / "eicar.ndb").write_text(SIGNATURE)
    lines = {
        "Foreground": "yes",
        "TCPSocket": site.ports["clamd"],
        "TCPAddr": HOST,
        "DatabaseDirectory": signatures,
        "TemporaryDirectory": temporary,
        "StreamMaxLength": MAX_BYTES,
        "MaxFileSize": MAX_BYTES,
        "MaxScanSize": 4 * MAX_BYTES,
        "MaxScanTime": 60_000,
        "AlertExceedsMax": "yes",
    }
    if os.geteuid() == 0:
        lines["User"] = "root"
    RUN.mkdir(parents=True, exist_ok=True)
    CONFIGURATION.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))


def healthy(site: Site) -> str | None:
    """Healthy when it answers."""
    try:
        with socket.create_connection((HOST, site.ports["clamd"]), 3) as connection:
            connection.sendall(b"zPING\0")
            answer = connection.recv(16)
    except OSError as error:
        return str(error)
    return None if answer == b"PONG\0" else f"it answers {answer!r}"
