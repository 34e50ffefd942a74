"""``backbone doctor antivirus``: whether the configured clamd finds what it must."""

import click

from backbone.doctor.checks import Check, Missing, examine, tell
from backbone.settings import load
from services.documents.antivirus import AntivirusSettings, Clamd
from services.documents.checks.pipeline import Finding as Scan

# The EICAR test file (eicar.org), in halves: no antivirus takes this module away.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR" + rb"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
PIECE = bytes(1024**2)


def answers(clamd: Clamd) -> str:
    if missing := clamd.missing():
        raise Missing(missing)
    return "clamd answers"


def finds(clamd: Clamd) -> str:
    if clamd.scan([EICAR]) is not Scan.INFECTED:
        raise Missing("it does not find the EICAR test file")
    return "it finds the EICAR test file"


def passes(clamd: Clamd) -> str:
    if clamd.scan([b"nothing"]) is not Scan.CLEAN:
        raise Missing("it finds something in nothing")
    return "it finds nothing in nothing"


def takes(clamd: Clamd) -> str:
    whole, rest = divmod(clamd.max_bytes, len(PIECE))
    chunks = (*(PIECE for _ in range(whole)), bytes(rest))
    if clamd.scan(chunks) is not Scan.CLEAN:
        raise Missing(f"it does not scan {clamd.max_bytes} bytes")
    return f"it scans {clamd.max_bytes} bytes"


CHECKED = "deposits: they wait, unread, until it does"
CHECKS = (
    Check("antivirus", answers, "start clamd, or mend BACKBONE_ANTIVIRUS_ADDRESS", CHECKED),
    Check("a test virus", finds, "bring clamd its signatures: freshclam", CHECKED),
    Check("a clean file", passes, "look at clamd's log", CHECKED),
    Check(
        "the largest file",
        takes,
        "StreamMaxLength, MaxFileSize and MaxScanSize of clamd must be BACKBONE_ANTIVIRUS_MAX_BYTES"
        " at least, with AlertExceedsMax yes",
        "documents of that size",
    ),
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def antivirus(as_json: bool) -> None:
    """Try the antivirus that documents is configured with."""
    tell(examine(CHECKS, Clamd(load(AntivirusSettings))), as_json)
