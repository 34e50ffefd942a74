"""A log in memory that gives receipts as the documents service does, for tests of their checks."""

import base64
import hashlib
import subprocess
import uuid
from pathlib import Path

from administration.documents.v1.documents_pb2 import GetConsistencyProofResponse, Receipt

from backbone.receipts import merkle
from backbone.receipts.leaf import Entry
from backbone.receipts.notes import Signer

ORIGIN = "essai.example/receipts"
CONTENT = b"%PDF-1.7 attestation"


class MemoryLog:
    """A log of `count` deposits; the one at `place` is of `CONTENT`."""

    def __init__(self, count: int, place: int = 0, history: str = "", seed: bytes = bytes(32)):
        self.signer = Signer(ORIGIN, seed)
        self.key = str(self.signer.verifier)
        self.place = place
        self.entry = Entry(
            salt=bytes(range(32)),
            document_id=uuid.UUID(int=7),
            version=1,
            time_us=1_790_000_000_123_456,
            size_bytes=len(CONTENT),
            sha256=hashlib.sha256(CONTENT).digest(),
        )
        leaves = [merkle.leaf_hash(f"{history}{number}".encode()) for number in range(count)]
        leaves[place] = self.entry.leaf()
        self.nodes, _ = merkle.append(0, [], leaves)
        self.count = count

    def hash(self, start: int, end: int) -> bytes:
        return merkle.joined([self.nodes[each] for each in merkle.subtrees(start, end)])

    def checkpoint(self, size: int) -> str:
        return self.signer.sign(size, self.hash(0, size))

    def consistency(self, first: int, second: int) -> GetConsistencyProofResponse:
        proof = [self.hash(*each) for each in merkle.consistency_ranges(first, second)]
        return GetConsistencyProofResponse(first_size=first, second_size=second, proof=proof)

    def receipt(self) -> Receipt:
        ranges = merkle.inclusion_ranges(self.place, self.count)
        made = Receipt(
            document_id=str(self.entry.document_id),
            version=1,
            size_bytes=self.entry.size_bytes,
            sha256=self.entry.sha256.hex(),
            salt=self.entry.salt,
            leaf_index=self.place,
            tree_size=self.count,
            inclusion_proof=[self.hash(*each) for each in ranges],
            checkpoint=self.checkpoint(self.count),
            key=self.key,
        )
        made.deposit_time.FromMicroseconds(self.entry.time_us)
        return made


def openssl_verifies(reply: bytes, note: str, root: str, folder: Path) -> bool:
    """Whether another implementation finds a time stamp good."""
    (folder / "reply.tsr").write_bytes(reply)
    (folder / "note.txt").write_text(note)
    done = subprocess.run(
        ["openssl", "ts", "-verify", "-in", "reply.tsr", "-data", "note.txt", "-CAfile", root],
        cwd=folder,
        check=False,
        capture_output=True,
    )
    return done.returncode == 0


def encoded(value: bytes) -> str:
    return base64.b64encode(value).decode()
