"""What a server claims to do beside storing: encryption at rest, rules that clean up."""

import io
import os
import time
from pathlib import Path

from minio.error import S3Error

from backbone.doctor.checks import Check, Missing, Unknown
from services.documents.doctor.place import Place
from services.documents.s3 import LACKING

# Large enough to be a file of its own on any server.
MARKS = 8192


def encryption(place: Place) -> str:
    """Of the quarantine, whose bytes the vault has not sealed yet."""
    bucket = place.quarantine_settings.bucket
    try:
        claimed = place.client.get_bucket_encryption(bucket_name=bucket) is not None
    except S3Error as error:
        if error.code not in LACKING:
            raise
        claimed = False
    words = "claims to encrypt" if claimed else "does not claim to encrypt"
    if place.data is None:
        raise Unknown(f"the server {words} the quarantine; through S3 nobody can see what it does")
    mark, began = os.urandom(64), time.time()
    place.client.put_object(
        bucket_name=bucket,
        object_name=place.key(),
        data=io.BytesIO(mark * MARKS),
        length=len(mark) * MARKS,
    )
    if _lies_in(place.data, mark, since=began - 1):
        raise Missing(f"the server {words} the quarantine; its bytes lie in plain on the disk")
    return f"the server {words} the quarantine; its bytes are not in plain under {place.data}"


def _lies_in(folder: Path, mark: bytes, since: float) -> bool:
    """Whether a file that was written since then begins with the mark, or soon has it."""
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_mtime >= since:
            with path.open("rb") as file:
                if mark in file.read(len(mark) * MARKS):
                    return True
    return False


def cleaning(place: Place) -> str:
    bucket = place.quarantine_settings.bucket
    try:
        rules = place.client.get_bucket_lifecycle(bucket_name=bucket)
    except S3Error as error:
        if error.code not in LACKING:
            raise
        raise Missing("the server has no lifecycle rules") from error
    if rules is None:
        raise Missing("the quarantine has no lifecycle rule")
    return "the quarantine forgets what is left, by its own rule"


CHECKS = (
    Check(
        "encryption at rest",
        encryption,
        "the vault seals by itself; for what waits in the quarantine, encrypt the server's disks",
    ),
    Check(
        "lifecycle",
        cleaning,
        "documents forgets what is left in the quarantine by itself; parts of uploads that were"
        " killed midway are the operator's to remove",
    ),
)
