"""The service behind both edges, with canned answers: ``python -m bench.gateway.backend``."""

import asyncio
from typing import Any

import grpc
from administration.documents.v1 import documents_pb2 as pb

from backbone.settings import ServerSettings, load

SERVICE = "administration.documents.v1.DocumentsService"
DOCUMENT = pb.Document(
    document_id="0b8f3c52-6f0e-4a55-9d6c-2a3f5b1c7e90",
    owner_id="f4f1a1de-22d4-4b7f-8f9a-54b1f1f0a6f7",
    name="Avis d'imposition 2025.pdf",
    media_type="application/pdf",
    size_bytes=183_204,
    sha256="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
)
DOCUMENT.create_time.FromJsonString("2026-11-24T09:30:00.123456Z")


async def get_document(_: pb.GetDocumentRequest, __: Any) -> pb.GetDocumentResponse:
    return pb.GetDocumentResponse(document=DOCUMENT)


async def share_document(request: pb.ShareDocumentRequest, _: Any) -> pb.ShareDocumentResponse:
    share = pb.Share(
        share_id="7b1c0a5e-5a4d-4d3e-9c55-0e1f8a2b3c4d",
        document_id=request.document_id,
        administration=request.administration,
        purpose=request.purpose,
        expire_time=request.expire_time,
        create_time=DOCUMENT.create_time,
    )
    return pb.ShareDocumentResponse(share=share)


async def main() -> None:
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "GetDocument": grpc.unary_unary_rpc_method_handler(
            get_document,
            request_deserializer=pb.GetDocumentRequest.FromString,
            response_serializer=pb.GetDocumentResponse.SerializeToString,
        ),
        "ShareDocument": grpc.unary_unary_rpc_method_handler(
            share_document,
            request_deserializer=pb.ShareDocumentRequest.FromString,
            response_serializer=pb.ShareDocumentResponse.SerializeToString,
        ),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    server.add_insecure_port(load(ServerSettings).grpc_listen)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main())
