"""The rpcs that give a document to its owner, and to those it is shared with."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from administration.documents.v1 import documents_pb2
from sqlalchemy.orm import Session

from backbone.acting import Acting
from backbone.chunks import Chunk
from backbone.database import Transactions
from backbone.errors import InvalidInput, Unavailable
from backbone.events import Publisher
from backbone.loops import loop
from backbone.rpc import Call, Grpc, Stub
from services.documents import accesses
from services.documents.accesses import Accesses
from services.documents.content_row import ContentRow
from services.documents.contents import Contents
from services.documents.documents import DocumentRow, no_such_document
from services.documents.domain import ranges
from services.documents.domain.chunks import gathered
from services.documents.s3 import CHUNK_BYTES
from services.documents.sharing import consent, watermarks
from services.documents.sharing.readings import Readings
from services.documents.sharing.shares import End, ShareRow
from services.documents.sharing.sharing import Shares

grpc = Grpc.implementing("administration.documents.v1.DocumentsService")

# Of a content, in one message: each costs two switches between threads, whatever it holds.
SEGMENTS_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Opened:
    """A document that the caller may see now, the version that was asked for, and by which share it
    is seen; None for its owner, and who acts for them.
    """

    document: DocumentRow
    row: ContentRow
    share: ShareRow | None
    acting: Acting

    def to_proto(self) -> documents_pb2.Document:
        # Of an earlier version, what its owner says of the document is not repeated.
        shown = self.row is self.document
        message = self.document.shown_to(self.acting) if shown else self.row.to_proto()
        message.watermarked = self.share is not None and self.share.watermark
        return message


class ReadingMethods:
    """A part of `DocumentsService`, whose dependencies it uses."""

    db: Transactions
    events: Publisher
    call: Call
    identity: Stub
    readings: Readings
    _accesses: Callable[[], Accesses]
    _contents: Callable[[], Contents]
    _of_version: Callable[[Session, DocumentRow, int], ContentRow]

    @grpc
    def get_document(
        self, request: documents_pb2.GetDocumentRequest
    ) -> documents_pb2.GetDocumentResponse:
        opened = self._opened(request.document_id, accesses.DESCRIBE, request.version)
        return documents_pb2.GetDocumentResponse(document=opened.to_proto())

    @grpc
    def read_content(
        self, request: documents_pb2.ReadContentRequest
    ) -> Iterator[documents_pb2.ReadContentResponse | Chunk]:
        opened = self._opened(request.document_id, accesses.READ, request.version)
        row, share = opened.row, opened.share
        row.require_available()
        if share is not None and share.watermark:
            yield from self._marked(request, opened, share)
            return
        offset, length = ranges.resolve(request.offset, request.length, row.size_bytes)
        # Before the header: what cannot be opened is refused, not begun.
        chunks = gathered(self._contents().get(row, offset, length), SEGMENTS_AT_ONCE)
        if share is not None:
            whole = offset + length == row.size_bytes
            chunks = self._while_shared(share, chunks, ends=whole)
        header = documents_pb2.ReadContentResponse.Header(
            document=opened.to_proto(), offset=offset, length=length
        )
        yield documents_pb2.ReadContentResponse(header=header)
        for chunk in chunks:
            yield Chunk(chunk)

    def _opened(self, document_id: str, action: str, version: int) -> Opened:
        """A version of a document that the caller may see; 0 is the one that it shows. What is
        another's is on record when this returns.

        Raises:
            NotFound: it does not exist, or is not the caller's to see.
            Gone: another reads what is to be read once.
            Unavailable: it hangs on a consent that cannot be checked, or cannot be recorded.
        """
        acting = self.call.acting
        by = self._accesses()
        with self.db.transaction() as session:
            document, shares = Shares(session).readable(document_id, acting)
            row = self._of_version(session, document, version)
            if not shares:
                by.by_mandate(document, action)
        if not shares:
            return Opened(document, row, None, acting)
        share = self._consented(document, shares)
        with self.db.transaction() as session:
            if share.read_once and action == accesses.READ:
                Shares(session).claim(share.share_id, acting.actor)
            else:
                # A consent takes a while to ask for.
                Shares(session).confirm(share.share_id)
            by.by_share(document, action, share.share_id)
        return Opened(document, row, share, acting)

    def _consented(self, row: DocumentRow, shares: Sequence[ShareRow]) -> ShareRow:
        """The first of these shares that needs no consent of the owner's, or has it.

        Raises:
            NotFound: none. Unavailable: identity cannot be asked.
        """
        for share in shares:
            if (
                share.consent_id is None
                or consent.check(self.identity, row.owner_id, share.administration).granted
            ):
                return share
        raise no_such_document()

    def _marked(
        self, request: documents_pb2.ReadContentRequest, opened: Opened, share: ShareRow
    ) -> Iterator[documents_pb2.ReadContentResponse | Chunk]:
        """The content with its watermark: another one each time, so there are no parts of it."""
        if request.offset or request.length:
            raise InvalidInput.field(
                "offset", "WATERMARK", "what has a watermark is read whole: leave out the range"
            )
        row = opened.row
        content = b"".join(self._contents().get(row, 0, row.size_bytes))
        text = watermarks.words(share, self.call.acting.actor)
        try:
            marked = watermarks.stamped(row, content, text)
        except watermarks.NotStamped:
            raise Unavailable("The watermark cannot be made.", reason="WATERMARK_FAILED") from None
        pieces = (marked[at : at + CHUNK_BYTES] for at in range(0, len(marked), CHUNK_BYTES))
        chunks = self._while_shared(share, pieces, ends=True)
        document = opened.to_proto()
        document.size_bytes, document.sha256 = len(marked), sha256(marked).hexdigest()
        header = documents_pb2.ReadContentResponse.Header(document=document, length=len(marked))
        yield documents_pb2.ReadContentResponse(header=header)
        for chunk in chunks:
            yield Chunk(chunk)

    def _while_shared(
        self, share: ShareRow, chunks: Iterable[bytes], *, ends: bool
    ) -> Iterator[bytes]:
        """The chunks, for as long as the share stands. `ends`: the last one is the document's,
        with which a share to read it once ends.

        Raises:
            NotFound: the share has ended.
        """
        with self.readings.of(share.share_id, self.call) as reading:
            for chunk in chunks:
                if reading.due():
                    with self.db.transaction() as session:
                        Shares(session).confirm(share.share_id)
                    reading.seen()
                yield chunk
        if ends and share.read_once:
            with self.db.transaction() as session:
                Shares(session).end(share.share_id, End.READ, self.events)

    @loop(every=0.25)
    def cut_readings(self) -> bool:
        """Ends readings whose share has ended, where their reader takes nothing meanwhile."""
        if overdue := self.readings.overdue():
            with self.db.transaction() as session:
                standing = Shares(session).standing(reading.share_id for reading in overdue)
            for reading in overdue:
                if reading.share_id in standing:
                    reading.seen()
                else:
                    reading.call.cancel()
        return False
