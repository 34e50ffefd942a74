"""Shares, over gRPC: made, listed, revoked."""

from datetime import UTC, datetime, timedelta
from typing import Any

from administration.documents.v1 import documents_pb2, sharing_pb2
from administration.documents.v1.documents_pb2 import Share

from tests.support.rpc import Client

PURPOSE = "Dossier d’allocation de Mme Éloïse"


def asking(
    document_id: str, *, lasting: timedelta = timedelta(hours=1), **values: Any
) -> documents_pb2.ShareDocumentRequest:
    """A request that says all but with whom."""
    request = documents_pb2.ShareDocumentRequest(
        document_id=document_id, **{"purpose": PURPOSE, **values}
    )
    request.expire_time.FromDatetime(datetime.now(UTC) + lasting)
    return request


def share(documents: Client, token: str, document_id: str, **values: Any) -> Share:
    answer: documents_pb2.ShareDocumentResponse = documents.share_document(
        asking(document_id, **values), token=token
    )
    return answer.share


def revoke(documents: Client, token: str, made: Share) -> Share:
    request = sharing_pb2.RevokeShareRequest(document_id=made.document_id, share_id=made.share_id)
    answer: documents_pb2.RevokeShareResponse = documents.revoke_share(request, token=token)
    return answer.share


def listed(documents: Client, token: str, document_id: str) -> list[Share]:
    request = sharing_pb2.ListSharesRequest(document_id=document_id)
    return list(documents.list_shares(request, token=token).shares)


def received(documents: Client, token: str) -> list[sharing_pb2.ReceivedShare]:
    request = sharing_pb2.ListSharedWithMeRequest(page_size=200)
    return list(documents.list_shared_with_me(request, token=token).shares)
