"""Every check of a document, in one reading of it, or two when it is a large archive."""

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import IO, cast

from services.documents.checks import kinds, marks
from services.documents.checks.archives import Limits, Walk
from services.documents.checks.content import WHOLE_BYTES, Content, Read
from services.documents.checks.verdict import Reason, Refused, Remark

ARCHIVES = frozenset({kinds.ZIP, kinds.TAR, kinds.GZIP, kinds.BZIP2})


class Choice(StrEnum):
    """What a policy does about something that is no fault by itself."""

    REFUSE = "refuse"
    REMARK = "remark"


@dataclass(frozen=True, slots=True)
class Policy:
    """What is refused, and what is remarked; the limits of archives."""

    macros: Choice = Choice.REMARK
    # What the antivirus could not scan to its end.
    not_scanned: Choice = Choice.REFUSE
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known of a document before it is checked."""

    name: str
    media_type: str
    size_bytes: int
    sha256: str


class Finding(StrEnum):
    """What an antivirus says of a document."""

    CLEAN = "clean"
    INFECTED = "infected"
    # Larger, or more nested, than it looks into.
    BEYOND = "beyond"


@dataclass(frozen=True, slots=True)
class Passed:
    """What is known of a document that may be read from now on: remarks, and its first bytes."""

    remarks: frozenset[Remark]
    head: bytes


# Scans chunks; it may stop reading them before their end.
Scan = Callable[[Iterable[bytes]], Finding]


def check(subject: Subject, read: Read, scan: Scan, policy: Policy) -> Passed:
    """Checks all of a document.

    `read` gives its bytes. Whatever `read` and `scan` raise passes through: nothing is known then.

    Raises:
        Refused: it may not be read, and why.
    """
    size = subject.size_bytes
    whole = b"".join(read(0, size)) if size <= WHOLE_BYTES else None
    file = io.BytesIO(whole) if whole is not None else cast("IO[bytes]", Content(read, size))
    stored = _once(whole) if whole is not None else read(0, size)
    head, tail = _ends(file, size)
    kind = kinds.kind_of_content(head)

    # First what costs little: an antivirus can be kept busy for minutes by a small archive.
    remarks: set[Remark] = set()
    refusal = None
    try:
        kinds.compare(kind, head, subject.media_type, subject.name)
        walk = _walked(kind, file, size, policy.limits)
        remarks |= walk.seen
        marks.hidden(kind, head, tail, walk.files)
    except Refused as error:
        refusal = error

    digest, seen = hashlib.sha256(), marks.Marks(kind)
    chunks = seen.watch(_hashed(stored, digest.update))
    finding = Finding.CLEAN if refusal else scan(chunks)
    for _ in chunks:
        # What the antivirus did not read is hashed and looked at too.
        pass
    # Nothing can be said of other bytes than were deposited.
    if digest.hexdigest() != subject.sha256:
        raise Refused(Reason.CORRUPTED, "the store gives other bytes than were deposited")
    if refusal is not None:
        raise refusal
    if finding is Finding.INFECTED:
        raise Refused(Reason.MALWARE, "the antivirus found something")
    if seen.scripted:
        raise Refused(Reason.ACTIVE_CONTENT, "an SVG image with a script")
    remarks |= seen.seen
    if finding is Finding.BEYOND:
        remarks.add(Remark.NOT_SCANNED)
    for remark, choice in (
        (Remark.NOT_SCANNED, policy.not_scanned),
        (Remark.MACROS, policy.macros),
    ):
        if remark in remarks and choice is Choice.REFUSE:
            raise Refused(Reason[remark.name], "refused by the policy")
    return Passed(frozenset(remarks), head)


def _walked(kind: str | None, file: IO[bytes], size: int, limits: Limits) -> Walk:
    walk = Walk(size, limits)
    if kind in kinds.CLOSED:
        walk.seen.add(Remark.NOT_OPENED)
    elif kind is not None and kind in ARCHIVES:
        walk.run(kind, file)
    return walk


def _hashed(chunks: Iterable[bytes], update: Callable[[bytes], object]) -> Iterator[bytes]:
    for chunk in chunks:
        update(chunk)
        yield chunk


def _once(whole: bytes) -> Iterator[bytes]:
    yield whole


def _ends(file: IO[bytes], size: int) -> tuple[bytes, bytes]:
    head = file.read(kinds.HEAD_BYTES)
    file.seek(max(0, size - marks.TAIL_BYTES))
    tail = file.read()
    file.seek(0)
    return head, tail
