"""The rpcs that are carried as bytes, each by a handler of its own."""

from collections.abc import Callable

from administration.options.v1 import options_pb2
from google.protobuf.descriptor import MethodDescriptor

from backbone.contracts import ContractError
from backbone.path_template import parse
from services.gateway.backends import Backends
from services.gateway.content import ContentHandler
from services.gateway.deposit import DepositHandler, VersionHandler
from services.gateway.deposit import rename as deposit_rename
from services.gateway.download import DownloadHandler
from services.gateway.http_rules import Binding
from services.gateway.names import json_path
from services.gateway.preview import PreviewHandler
from services.gateway.routes import Handler, Route
from services.gateway.settings import GatewaySettings

_Make = Callable[[MethodDescriptor, Backends, GatewaySettings], Handler]


def _download(rpc: MethodDescriptor, backends: Backends, settings: GatewaySettings) -> Handler:
    return DownloadHandler(binding(rpc), backends, settings.transfer_timeout)


def binding(rpc: MethodDescriptor) -> Binding:
    """What the request of a byte stream without a body is built from: its path and its query."""
    declared = byte_stream(rpc)
    assert declared is not None
    return Binding(rpc, declared.method, parse(declared.path), "", "")


HANDLERS: dict[str, tuple[_Make, Callable[[str], str]]] = {
    "administration.documents.v1.DocumentsService.DepositDocument": (
        lambda rpc, backends, settings: DepositHandler(rpc, backends, settings.transfer_timeout),
        deposit_rename,
    ),
    "administration.documents.v1.DocumentsService.DepositVersion": (
        lambda rpc, backends, settings: VersionHandler(rpc, backends, settings.transfer_timeout),
        deposit_rename,
    ),
    "administration.documents.v1.DocumentsService.ReadContent": (
        lambda rpc, backends, settings: ContentHandler(
            rpc, backends, settings.transfer_timeout, settings.call_timeout
        ),
        json_path,
    ),
    "administration.documents.v1.DocumentsService.ArchiveDocuments": (_download, json_path),
    "administration.documents.v1.DocumentsService.RenderReceipt": (_download, json_path),
    "administration.documents.v1.DocumentsService.GetPreview": (
        lambda rpc, backends, settings: PreviewHandler(rpc, backends, settings.call_timeout),
        json_path,
    ),
}


def byte_stream(rpc: MethodDescriptor) -> options_pb2.ByteStream | None:
    """Where an rpc is served as bytes; None when it is not."""
    options = rpc.GetOptions()
    if options.HasExtension(options_pb2.byte_stream):
        declared: options_pb2.ByteStream = options.Extensions[options_pb2.byte_stream]
        return declared
    return None


def route(
    rpc: MethodDescriptor,
    declared: options_pb2.ByteStream,
    backends: Backends,
    settings: GatewaySettings,
) -> Route:
    """The route of a byte stream.

    Raises:
        ContractError: nobody wrote a handler for it.
    """
    if rpc.full_name not in HANDLERS:
        raise ContractError(
            f"{rpc.full_name} is a byte stream without a handler: write one, and name it in"
            " services/gateway/bytes.py"
        )
    make, rename = HANDLERS[rpc.full_name]
    return Route(
        declared.method, parse(declared.path), make(rpc, backends, settings), rename=rename
    )
