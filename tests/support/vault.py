"""Deposits, over gRPC: unique documents, whole or broken on purpose."""

import hashlib
import secrets
from collections.abc import Iterable, Iterator

import grpc
from administration.documents.v1 import deposits_pb2, documents_pb2
from administration.documents.v1.documents_pb2 import DepositDocumentRequest, Document

from tests.support.polling import eventually
from tests.support.rpc import Client, Refusal

CHUNK_BYTES = 64 * 1024


def unique_bytes(size: int = 1000) -> bytes:
    """A document that no other test has; it begins as a PDF does."""
    head = b"%PDF-1.7\n"[:size]
    return head + secrets.token_bytes(size - len(head))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def chunks(data: bytes, size: int = CHUNK_BYTES) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def requests(
    data: Iterable[bytes],
    *,
    name: str = "acte.pdf",
    media_type: str = "application/pdf",
    size_bytes: int = 0,
    sha256: str = "",
    end: bool = True,
) -> Iterator[DepositDocumentRequest]:
    """The messages of a deposit: the header, the chunks, the end."""
    header = DepositDocumentRequest.Header(
        name=name, media_type=media_type, size_bytes=size_bytes, sha256=sha256
    )
    yield DepositDocumentRequest(header=header)
    for chunk in data:
        yield DepositDocumentRequest(chunk=chunk)
    if end:
        yield DepositDocumentRequest(end=DepositDocumentRequest.End())


def deposit(documents: Client, token: str, data: bytes, **header: str) -> Document:
    """Deposits `data`, announced in full; the document, once it is available."""
    document = checked(documents, token, sent(documents, token, data, **header).document_id)
    assert document.state == deposits_pb2.DOCUMENT_STATE_AVAILABLE, document
    return document


def checked(documents: Client, token: str, document_id: str) -> Document:
    """A document, once its check has ended."""

    def ended() -> Document | None:
        request = documents_pb2.GetDocumentRequest(document_id=document_id)
        found: Document = documents.get_document(request, token=token).document
        return None if found.state == deposits_pb2.DOCUMENT_STATE_CHECKING else found

    return eventually(ended)


def sent(documents: Client, token: str, data: bytes, **header: str) -> Document:
    """Deposits `data`, announced in full; the document, as it is answered."""
    messages = requests(chunks(data), size_bytes=len(data), sha256=sha256(data), **header)  # type: ignore[arg-type]
    answer: documents_pb2.DepositDocumentResponse = documents.deposit_document(
        messages, token=token
    )
    return answer.document


def receipt(
    documents: Client, token: str, document_id: str, version: int = 0
) -> documents_pb2.Receipt:
    """The receipt of a deposit, once it has its place in the log: what an answer does not wait for
    for ever.
    """
    request = documents_pb2.GetReceiptRequest(document_id=document_id, version=version)

    def given() -> documents_pb2.Receipt | None:
        try:
            found: documents_pb2.Receipt = documents.get_receipt(request, token=token).receipt
        except grpc.RpcError as error:
            if Refusal(error).reason == "RECEIPT_PENDING":
                return None
            raise
        return found

    return eventually(given)


def read(
    documents: Client, token: str, document_id: str, offset: int = 0, length: int = 0
) -> tuple[documents_pb2.ReadContentResponse.Header, bytes]:
    """The header and the bytes of a document, or of a range of it."""
    request = documents_pb2.ReadContentRequest(
        document_id=document_id, offset=offset, length=length
    )
    first, *rest = documents.read_content(request, token=token)
    return first.header, b"".join(message.chunk for message in rest)
