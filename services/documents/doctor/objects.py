"""Whether objects are what was put: whole, in part, in parts, and never half."""

import hashlib
import os
import statistics
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import urllib3

from backbone.doctor.checks import Check, Missing
from services.documents.doctor.place import Place
from services.documents.store import PART_BYTES

TYPE = "application/octet-stream"
# S3 refuses what was signed by a clock that differs by more than a quarter of an hour.
SKEW = timedelta(seconds=5)
ROUNDS, SMALL = 10, 64 * 1024


def answers(place: Place) -> str:
    if place.scratch:
        place.make()
        return f"{place.settings.endpoint} makes buckets as {place.settings.access_key}"
    for bucket in (place.bucket, place.quarantine_settings.bucket):
        if not place.client.bucket_exists(bucket_name=bucket):
            raise Missing(f"it answers, but the bucket {bucket} is missing")
    return f"{place.settings.endpoint} answers as {place.settings.access_key}"


def same_clock(place: Place) -> str:
    before = datetime.now(UTC)
    told = place.now()
    # The server tells whole seconds.
    ahead = max(timedelta(), told - datetime.now(UTC))
    behind = max(timedelta(), before - told - timedelta(seconds=1))
    apart = max(ahead, behind)
    if apart > SKEW:
        raise Missing(f"the server's clock differs from ours by {apart.total_seconds():.0f} s")
    return f"the server's clock is ours within {SKEW.total_seconds():.0f} s"


def speed(place: Place) -> str:
    key, data = place.key(), os.urandom(SMALL)
    puts = [_seconds(lambda: place.put(key, data)) for _ in range(ROUNDS)]
    gets = [_seconds(lambda: place.get(key, None)) for _ in range(ROUNDS)]
    put, get = (1000 * statistics.median(times) for times in (puts, gets))
    return f"64 KiB: put in {put:.1f} ms, read in {get:.1f} ms (median of {ROUNDS})"


def whole(place: Place) -> str:
    key, data = place.key(), os.urandom(3 * SMALL)
    place.store.put(key, [data], TYPE, len(data))
    _same(b"".join(place.store.get(key, 0, len(data))), data)
    place.store.delete(key)
    if place.versions(key):
        raise Missing("an object is there that was deleted")
    return "what is put is read, and gone when it is deleted"


def ranges(place: Place) -> str:
    key, data = place.key(), os.urandom(3 * SMALL)
    place.store.put(key, [data], TYPE, len(data))
    for offset, length in ((0, 1), (SMALL - 1, 2), (len(data) - 1, 1)):
        _same(b"".join(place.store.get(key, offset, length)), data[offset : offset + length])
    return "a range is read alone"


def parts(place: Place) -> str:
    key, data = place.key(), os.urandom(2 * PART_BYTES + 1000)
    place.store.put(key, [data], TYPE)
    _same(b"".join(place.store.get(key, 0, len(data))), data)
    return f"{len(data) // 1024**2} MiB in parts are read as they were put"


def never_half(place: Place) -> str:
    def broken() -> Iterator[bytes]:
        yield os.urandom(PART_BYTES + 1000)
        raise LookupError

    key = place.key()
    try:
        place.store.put(key, broken(), TYPE)
    except LookupError:
        found = place.versions(key)
        if found:
            raise Missing("an upload that broke off is an object") from None
        return "an upload that breaks off leaves no object"
    raise AssertionError("the upload did not break off")


def etag(place: Place) -> str:
    key, data = place.key(), os.urandom(SMALL)
    told = place.put(key, data).etag
    asked = place.client.stat_object(bucket_name=place.bucket, object_name=key).etag
    if told != asked:
        raise Missing(f"the ETag is {told} when it is put, {asked} afterwards")
    if told != hashlib.md5(data, usedforsecurity=False).hexdigest():
        raise Missing("the ETag of a small object is not its MD5")
    return "the ETag is the MD5 of what was put"


def wrong_md5(place: Place) -> str:
    return _refuses(place, "Content-MD5", b64encode(bytes(16)))


def wrong_sha256(place: Place) -> str:
    return _refuses(place, "x-amz-checksum-sha256", b64encode(bytes(32)))


def cleaned(place: Place) -> str:
    left = place.clean()
    if left:
        raise Missing(f"what was put for this is still in {place.bucket}: {', '.join(left)}")
    return "nothing is left of what was put for this"


def _refuses(place: Place, header: str, value: bytes) -> str:
    url = place.client.presigned_put_object(bucket_name=place.bucket, object_name=place.key())
    headers = {header: value.decode()}
    answer = urllib3.request("PUT", url, body=b"other bytes", headers=headers, timeout=30.0)
    if answer.status < 300:
        raise Missing(f"bytes with another {header} are taken")
    return f"bytes with another {header} are refused"


def _same(found: bytes, put: bytes) -> None:
    if found != put:
        raise Missing(f"other bytes are read than were put ({len(found)} of {len(put)})")


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


CLEANED = Check("cleaning", cleaned, "delete it once its lock has ended")
CHECKS = (
    Check(
        "server",
        answers,
        "check BACKBONE_STORAGE_ENDPOINT, _ACCESS_KEY and _SECRET_KEY; documents makes its buckets"
        " when it starts, and --scratch needs none",
        "everything",
    ),
    Check("clock", same_clock, "keep both by NTP", "signed requests, locks"),
    Check("speed", speed, ""),
    Check("objects", whole, "use another server", "the vault"),
    Check("ranges", ranges, "use another server", "reading a part of a document"),
    Check("multipart", parts, "use another server", "documents larger than 5 MiB"),
    Check("broken uploads", never_half, "use another server", "the vault"),
    Check("ETag", etag, "none is needed: each reading is checked by the document's seal"),
    Check("MD5", wrong_md5, "none is needed: each reading is checked by the document's seal"),
    Check("SHA-256", wrong_sha256, "none is needed: each reading is checked by the seal"),
)
