"""What can be checked of a receipt without the system, one finding at a time."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from administration.documents.v1 import documents_pb2, retention_pb2
from cryptography import x509
from google.protobuf.timestamp_pb2 import Timestamp

from backbone.receipts import merkle, notes, stamps
from backbone.receipts.destruction import stated
from backbone.receipts.leaf import Entry

Receipt = documents_pb2.Receipt
Destruction = retention_pb2.Destruction
Proof = documents_pb2.GetConsistencyProofResponse


class Mark(Enum):
    """How a check ended; OPEN: it lacked what only the verifier can bring."""

    PASSED = "✓"
    FAILED = "✗"
    OPEN = "–"


@dataclass(frozen=True, slots=True)
class Finding:
    mark: Mark
    step: str
    words: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verifier trusts and remembers; what is absent cannot be checked."""

    key: notes.Verifier | None = None
    roots: Sequence[x509.Certificate] = ()
    old_note: str = ""
    proof: Proof | None = None


def of_receipt(
    receipt: Receipt, size_bytes: int, sha256: str, evidence: Evidence
) -> Iterator[Finding]:
    """Checks a receipt against a file's size and SHA-256, and against what the verifier knows."""
    yield _compared("size", receipt.size_bytes, size_bytes, "bytes")
    yield _compared("SHA-256", receipt.sha256, sha256, "")
    yield _inclusion(receipt)
    yield _signature(receipt.key, evidence.key, lambda key: key.open(receipt.checkpoint))
    yield _time_stamp(receipt, evidence.roots)
    if evidence.old_note:
        yield _consistency(receipt, evidence)


def of_destruction(
    destruction: Destruction, sha256: str | None, key: notes.Verifier | None
) -> Iterator[Finding]:
    """Checks what proves a destruction, against the SHA-256 of a file that was kept, if any."""
    yield _certificate(destruction)
    if sha256 is None:
        words = "no file was given to compare with"
        yield Finding(Mark.OPEN, "SHA-256", f"{destruction.sha256}; {words}")
    else:
        yield _of_file(destruction, sha256)
    yield _signature(
        destruction.key, key, lambda verifier: verifier.require_signed(destruction.certificate)
    )


def _of_file(destruction: Destruction, sha256: str) -> Finding:
    """Whether the file is a version of the document."""
    step = "SHA-256"
    with suppress(notes.NoteError):
        if sha256 in stated(destruction.certificate).sha256s():
            return Finding(Mark.PASSED, step, sha256)
    return _compared(step, destruction.sha256, sha256, "")


def _certificate(destruction: Destruction) -> Finding:
    step = "certificate"
    try:
        said = stated(destruction.certificate)
    except notes.NoteError as error:
        return Finding(Mark.FAILED, step, str(error))
    expected = said.to_proto()
    expected.certificate, expected.key = destruction.certificate, destruction.key
    if expected != destruction:
        return Finding(Mark.FAILED, step, "what is told beside the certificate is not what it says")
    facts = [f"document {said.document_id}", f"destroyed {destruction.destroy_time.ToJsonString()}"]
    facts.append(said.cause)
    facts += [part for part in (said.retention_class, said.basis) if part]
    return Finding(Mark.PASSED, step, ", ".join(facts))


def _compared(step: str, told: object, found: object, unit: str) -> Finding:
    if told == found:
        return Finding(Mark.PASSED, step, f"{found} {unit}".rstrip())
    words = f"the receipt is of {told} {unit}".rstrip()
    return Finding(Mark.FAILED, step, f"{words}, the file has {found}")


def _inclusion(receipt: Receipt) -> Finding:
    step = "inclusion"
    try:
        checkpoint, leaf = notes.read(receipt.checkpoint), _entry(receipt).leaf()
    except (notes.NoteError, ValueError) as error:
        return Finding(Mark.FAILED, step, str(error))
    if receipt.tree_size != checkpoint.size:
        words = f"the proof is of {receipt.tree_size} entries, the checkpoint of {checkpoint.size}"
        return Finding(Mark.FAILED, step, words)
    if not merkle.includes(
        leaf,
        receipt.leaf_index,
        receipt.tree_size,
        list(receipt.inclusion_proof),
        checkpoint.root,
    ):
        words = f"the log of the checkpoint has not this deposit at {receipt.leaf_index}"
        return Finding(Mark.FAILED, step, words)
    place = f"entry {receipt.leaf_index} of {receipt.tree_size} in {checkpoint.origin}"
    return Finding(Mark.PASSED, step, f"{place}, deposited {receipt.deposit_time.ToJsonString()}")


def _entry(receipt: Receipt) -> Entry:
    return Entry(
        salt=receipt.salt,
        document_id=uuid.UUID(receipt.document_id),
        version=receipt.version,
        time_us=microseconds(receipt.deposit_time),
        size_bytes=receipt.size_bytes,
        sha256=bytes.fromhex(receipt.sha256),
    )


def microseconds(time: Timestamp) -> int:
    """Raises:
    ValueError: it is told finer than that, which no deposit's time is.
    """
    count, rest = divmod(time.nanos, 1000)
    if rest:
        raise ValueError("the time of the deposit is finer than a microsecond")
    return time.seconds * 1_000_000 + count


def _signature(
    told: str, key: notes.Verifier | None, opened: Callable[[notes.Verifier], object]
) -> Finding:
    step = "signature"
    try:
        verifier = key or notes.Verifier.parse(told)
        opened(verifier)
    except notes.NoteError as error:
        return Finding(Mark.FAILED, step, str(error))
    if key is None:
        words = f"made with the key that the receipt itself names ({verifier})"
        return Finding(Mark.OPEN, step, f"{words}; give the published one: --key")
    return Finding(Mark.PASSED, step, f"of {verifier.name}, key {verifier.key_id.hex()}")


def _time_stamp(receipt: Receipt, roots: Sequence[x509.Certificate]) -> Finding:
    step = "time stamp"
    if not receipt.time_stamp:
        mark = Mark.FAILED if roots else Mark.OPEN
        return Finding(mark, step, "the receipt carries none")
    if not roots:
        words = "not checked; give the authority's certificate: --tsa-certificate"
        return Finding(Mark.OPEN, step, words)
    try:
        time = stamps.check(receipt.time_stamp, receipt.checkpoint, roots)
    except stamps.StampError as error:
        return Finding(Mark.FAILED, step, str(error))
    return Finding(Mark.PASSED, step, f"the deposit existed at {time.isoformat()}")


def _consistency(receipt: Receipt, evidence: Evidence) -> Finding:
    step = "consistency"
    try:
        verifier = evidence.key or notes.Verifier.parse(receipt.key)
        old, new = verifier.open(evidence.old_note), notes.read(receipt.checkpoint)
    except notes.NoteError as error:
        return Finding(Mark.FAILED, step, f"the old checkpoint: {error}")
    # The one that was kept may also be the later one.
    first, second = sorted((old, new), key=lambda checkpoint: checkpoint.size)
    path: list[bytes] = []
    if first.size != second.size:
        query = f"/v1/receipts/consistency?firstSize={first.size}&secondSize={second.size}"
        if evidence.proof is None:
            return Finding(Mark.FAILED, step, f"needs the proof: --consistency, from GET {query}")
        if (evidence.proof.first_size, evidence.proof.second_size) != (first.size, second.size):
            return Finding(Mark.FAILED, step, f"the proof is of other sizes: get {query}")
        path = list(evidence.proof.proof)
    if not merkle.consistent(first.size, first.root, second.size, second.root, path):
        words = f"the logs of {first.size} and of {second.size} entries have different histories"
        return Finding(Mark.FAILED, step, words)
    words = f"the log of {first.size} entries is the beginning of that of {second.size}"
    return Finding(Mark.PASSED, step, words)
