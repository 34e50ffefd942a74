"""The peer: two routes as one writes them with FastAPI, over the same stub, and nothing else.

``python -m bench.gateway.peer`` serves them with uvicorn, uvloop and httptools, one worker.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import grpc
import uvicorn
from administration.documents.v1 import documents_pb2 as pb
from administration.documents.v1.deposits_pb2 import DocumentState, RefusalReason, Remark
from administration.documents.v1.sharing_pb2 import ShareEnd
from fastapi import FastAPI, Header, HTTPException, Request
from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from backbone.settings import load
from bench.gateway.answers import SERVICE
from services.gateway.settings import GatewaySettings

settings = load(GatewaySettings)
Authorization = Annotated[str, Header()]


class Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)


class Property(Model):
    key: str
    value: str


class Document(Model):
    document_id: str
    owner_id: str
    name: str
    media_type: str
    size_bytes: str
    sha256: str
    create_time: datetime
    state: str
    refusal_reason: str
    remarks: list[str]
    retention_class: str
    held: bool
    lock_pending: bool
    version: int
    version_time: datetime
    folder: str
    labels: list[str]
    metadata: list[Property]
    watermarked: bool


class GetDocumentResponse(Model):
    document: Document


class ShareDocumentRequest(Model):
    administration: str = Field(max_length=63, pattern="^[a-z0-9]+(-[a-z0-9]+)*$")
    purpose: str = Field(min_length=1, max_length=500)
    expire_time: datetime


class Share(Model):
    share_id: str
    document_id: str
    administration: str
    purpose: str
    expire_time: datetime
    create_time: datetime
    account_id: str
    read_once: bool
    watermark: bool
    shared_by: str
    consent_id: str
    box_id: str
    end: str


class ShareDocumentResponse(Model):
    share: Share


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with grpc.aio.insecure_channel(settings.documents_address) as channel:
        app.state.get_document = channel.unary_unary(
            f"/{SERVICE}/GetDocument",
            request_serializer=pb.GetDocumentRequest.SerializeToString,
            response_deserializer=pb.GetDocumentResponse.FromString,
        )
        app.state.share_document = channel.unary_unary(
            f"/{SERVICE}/ShareDocument",
            request_serializer=pb.ShareDocumentRequest.SerializeToString,
            response_deserializer=pb.ShareDocumentResponse.FromString,
        )
        yield


app = FastAPI(lifespan=lifespan)


async def call(stub: Any, request: Any, authorization: str) -> Any:
    try:
        return await stub(
            request, timeout=settings.call_timeout, metadata=(("authorization", authorization),)
        )
    except grpc.aio.AioRpcError as error:
        raise HTTPException(502, error.details()) from error


@app.get("/v1/documents/{document_id}")
async def get_document(
    document_id: UUID, request: Request, authorization: Authorization
) -> GetDocumentResponse:
    message = pb.GetDocumentRequest(document_id=str(document_id))
    answer = await call(request.app.state.get_document, message, authorization)
    document = answer.document
    return GetDocumentResponse(
        document=Document(
            document_id=document.document_id,
            owner_id=document.owner_id,
            name=document.name,
            media_type=document.media_type,
            size_bytes=str(document.size_bytes),
            sha256=document.sha256,
            create_time=document.create_time.ToDatetime(UTC),
            state=DocumentState.Name(document.state),
            refusal_reason=RefusalReason.Name(document.refusal_reason),
            remarks=[Remark.Name(remark) for remark in document.remarks],
            retention_class=document.retention_class,
            held=document.held,
            lock_pending=document.lock_pending,
            version=document.version,
            version_time=document.version_time.ToDatetime(UTC),
            folder=document.folder,
            labels=list(document.labels),
            metadata=[Property(key=item.key, value=item.value) for item in document.metadata],
            watermarked=document.watermarked,
        )
    )


@app.post("/v1/documents/{document_id}/shares")
async def share_document(
    document_id: UUID, body: ShareDocumentRequest, request: Request, authorization: Authorization
) -> ShareDocumentResponse:
    expire_time = Timestamp()
    expire_time.FromDatetime(body.expire_time)
    message = pb.ShareDocumentRequest(
        document_id=str(document_id),
        administration=body.administration,
        purpose=body.purpose,
        expire_time=expire_time,
    )
    answer = await call(request.app.state.share_document, message, authorization)
    share = answer.share
    return ShareDocumentResponse(
        share=Share(
            share_id=share.share_id,
            document_id=share.document_id,
            administration=share.administration,
            purpose=share.purpose,
            expire_time=share.expire_time.ToDatetime(UTC),
            create_time=share.create_time.ToDatetime(UTC),
            account_id=share.account_id,
            read_once=share.read_once,
            watermark=share.watermark,
            shared_by=share.shared_by,
            consent_id=share.consent_id,
            box_id=share.box_id,
            end=ShareEnd.Name(share.end),
        )
    )


if __name__ == "__main__":
    host, port = settings.host_and_port
    uvicorn.run(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
