"""What the OpenAPI document says of the byte streams, whose handlers are written by hand."""

from typing import Any

from google.protobuf.descriptor import MethodDescriptor

from services.gateway.bytes import binding
from services.gateway.openapi_responses import TRACE, problem
from services.gateway.openapi_schemas import Schemas, parameter
from services.gateway.requests import RequestBuilder

Schema = dict[str, Any]
_BINARY: Schema = {"*/*": {"schema": {}}}


def _header(name: str, description: str, *, required: bool = False, **schema: Any) -> Schema:
    return {
        "name": name,
        "in": "header",
        "required": required,
        "description": description,
        "schema": {"type": "string", **schema},
    }


def _response_header(description: str, **schema: Any) -> Schema:
    return {"description": description, "schema": {"type": "string", **schema}}


def deposit(rpc: MethodDescriptor, schemas: Schemas) -> Schema:
    return _deposit(rpc, schemas, "Path of the document.", named=True)


def version(rpc: MethodDescriptor, schemas: Schemas) -> Schema:
    described = _deposit(rpc, schemas, "Path of the version.", named=False)
    described["parameters"].append(
        _header("If-Match", "Only if the newest content has one of these ETags: else 412.")
    )
    described["responses"]["412"] = problem("The document has another content by now.")
    return described


def _deposit(rpc: MethodDescriptor, schemas: Schemas, location: str, *, named: bool) -> Schema:
    otherwise = "" if named else " Without it, the document keeps its name."
    return {
        "parameters": [
            _header(
                "Content-Disposition",
                "The file's name (RFC 6266), as `attachment; filename*=UTF-8''acte.pdf`."
                + otherwise,
                required=named,
            ),
            _header(
                "Content-Digest",
                "What arrives has to have this digest (RFC 9530), or nothing is stored.",
                examples=["sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"],
            ),
        ],
        "requestBody": {
            "required": True,
            "description": "The file itself, streamed; its Content-Type is the document's media"
            " type. With a Content-Length, a refusal for size comes before the upload.",
            "content": _BINARY,
        },
        "responses": {
            "201": {
                "description": "Stored.",
                "headers": {**TRACE, "Location": _response_header(location)},
                "content": {
                    "application/json": {
                        "schema": schemas.reference(rpc.output_type, request=False)
                    }
                },
            },
            "409": problem("The upload ended before its announced size."),
            "413": problem("The file is larger than the limit."),
            "415": problem("A form around the file, or a content coding."),
            "507": problem("There is no room for it: `limit` and `used` say how much."),
        },
    }


def content(_rpc: MethodDescriptor, _schemas: Schemas) -> Schema:
    validators = {
        **TRACE,
        "ETag": _response_header(
            "Strong validator: the SHA-256 of the whole document. Absent with a watermark."
        ),
        "Cache-Control": _response_header("`private, no-cache`; with a watermark `no-store`."),
    }
    told = {
        **validators,
        "Content-Disposition": _response_header("The file's name (RFC 6266)."),
        "Repr-Digest": _response_header("SHA-256 of the whole document (RFC 9530)."),
        "Accept-Ranges": _response_header("`bytes`; `none` for what is read with a watermark."),
    }
    ranged = _response_header("The part that follows, and the whole size.")
    return {
        "parameters": [
            {
                "name": "version",
                "in": "query",
                "description": "Which version; without it, the one that the document shows.",
                "schema": {"type": "integer", "format": "int32", "minimum": 1},
            },
            _header("Range", "One range of bytes; several are answered with the whole."),
            _header("If-Range", "Keeps the range only while this ETag is the document's."),
            _header("If-Match", "412 when none of these ETags is the document's."),
            _header("If-None-Match", "304 when one of these ETags is the document's."),
        ],
        "responses": {
            "200": {"description": "The document.", "headers": told, "content": _BINARY},
            "206": {
                "description": "The range.",
                "headers": {**told, "Content-Range": ranged},
                "content": _BINARY,
            },
            "304": {"description": "Not modified.", "headers": validators},
            "412": problem("The document has another content by now."),
            "416": {
                **problem("The range lies past the end."),
                "headers": {**TRACE, "Content-Range": _response_header("`bytes */size`.")},
            },
        },
    }


def download(rpc: MethodDescriptor, schemas: Schemas) -> Schema:
    builder = RequestBuilder(binding(rpc))
    told = {
        **TRACE,
        "Content-Disposition": _response_header("The file's name (RFC 6266)."),
        "Cache-Control": _response_header("Always `private, no-store`."),
        "Accept-Ranges": _response_header("Always `none`."),
    }
    return {
        "parameters": [parameter(item, "query", schemas) for item in builder.query_parameters],
        "responses": {"200": {"description": "The file.", "headers": told, "content": _BINARY}},
    }


def preview(_rpc: MethodDescriptor, _schemas: Schemas) -> Schema:
    validators = {
        **TRACE,
        "ETag": _response_header("Strong validator of the image."),
        "Cache-Control": _response_header("Always `private, no-cache`."),
    }
    return {
        "parameters": [_header("If-None-Match", "304 when one of these ETags is the image's.")],
        "responses": {
            "200": {
                "description": "The first page, or the image made small.",
                "headers": validators,
                "content": {"image/webp": {"schema": {}}},
            },
            "304": {"description": "Not modified.", "headers": validators},
        },
    }


DESCRIBED = {
    "administration.documents.v1.DocumentsService.DepositDocument": deposit,
    "administration.documents.v1.DocumentsService.DepositVersion": version,
    "administration.documents.v1.DocumentsService.ReadContent": content,
    "administration.documents.v1.DocumentsService.ArchiveDocuments": download,
    "administration.documents.v1.DocumentsService.RenderReceipt": download,
    "administration.documents.v1.DocumentsService.GetPreview": preview,
}
