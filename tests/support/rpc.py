"""A gRPC client built from a contract: every rpc, of all four kinds, as a method."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from backbone import contracts
from tests.support.polling import PATIENCE

# What it admits, it signs out: not for the accounts that tests share.
ENDS_ITS_CALLER = {"EndAllSessions"}


class Client:
    """``client.get_me(request, token=…)``: returns the response, an iterator when the server
    streams. The call itself is ``client.start("get_me", request, …)``.
    """

    def __init__(self, area: str, address: str, options: Sequence[tuple[str, Any]] = ()) -> None:
        self.channel = grpc.insecure_channel(address, options=list(options))
        self._calls: dict[str, Callable[..., Any]] = {}
        self._streams: dict[str, bool] = {}
        for method in contracts.service(contracts.SERVICES[area]).methods:
            name = contracts.snake_case(method.name)
            self._calls[name] = _multicallable(self.channel, method)
            self._streams[name] = bool(method.server_streaming)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(
            request: Any,
            *,
            token: str = "",
            timeout: float = PATIENCE,
            metadata: Sequence[tuple[str, str]] = (),
        ) -> Any:
            started = self.start(name, request, token=token, timeout=timeout, metadata=metadata)
            return started if self._streams[name] else started.result()

        return call

    def start(
        self,
        name: str,
        request: Any,
        *,
        token: str = "",
        timeout: float = PATIENCE,
        metadata: Sequence[tuple[str, str]] = (),
    ) -> Any:
        """The call object: a future, or an iterator that can be cancelled."""
        metadata = [("authorization", f"Bearer {token}")] if token else list(metadata)
        call = self._calls[name]
        start = call if self._streams[name] else call.future  # type: ignore[attr-defined]
        return start(request, timeout=timeout, metadata=metadata)

    def close(self) -> None:
        self.channel.close()


def _multicallable(channel: grpc.Channel, method: MethodDescriptor) -> Callable[..., Any]:
    make: Any = {
        (False, False): channel.unary_unary,
        (False, True): channel.unary_stream,
        (True, False): channel.stream_unary,
        (True, True): channel.stream_stream,
    }[bool(method.client_streaming), bool(method.server_streaming)]
    made: Callable[..., Any] = make(
        contracts.path(method),
        request_serializer=contracts.message_class(method.input_type).SerializeToString,
        response_deserializer=contracts.message_class(method.output_type).FromString,
    )
    return made


class Refusal:
    """What a refused call said: its code, its reason, its fields at fault."""

    def __init__(self, error: Any) -> None:
        self.code: grpc.StatusCode = error.code()
        self.reason = ""
        self.trace_id = ""
        self.fields: dict[str, str] = {}
        self.metadata: dict[str, str] = {}
        status = rpc_status.from_call(error)
        self.detail = status.message if status else error.details() or ""
        for packed in status.details if status else ():
            info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            if packed.Unpack(info):
                self.reason, self.trace_id = info.reason, info.metadata["trace_id"]
                self.metadata = dict(info.metadata)
            elif packed.Unpack(bad):
                self.fields = {item.field: item.reason for item in bad.field_violations}


def code(call: Callable[[], Any]) -> grpc.StatusCode:
    """The status that a call ends with."""
    try:
        call()
    except grpc.RpcError as error:
        return Refusal(error).code
    return grpc.StatusCode.OK


def refusal(call: Callable[[], Any]) -> Refusal:
    """How `call` is refused.

    Raises:
        AssertionError: it is not.
    """
    answer = _outcome(call)
    assert isinstance(answer, Refusal), f"was answered: {answer!r}"
    return answer


def asked(
    client: Client, method: MethodDescriptor, request: Any, *, stays_open: bool = False, **how: Any
) -> Any:
    """What a method answers first, or its `Refusal`; None at the end of a stream, and of one that
    `stays_open` once it is admitted. Of one that is to be refused do not say so: its metadata come
    a moment before its status, and it looks open until then.
    """
    given = iter([request]) if method.client_streaming else request
    call = client.start(contracts.snake_case(method.name), given, **how)
    try:
        if not method.server_streaming:
            return call.result()
        call.initial_metadata()
        return None if stays_open and call.is_active() else next(call)
    except grpc.RpcError as error:
        return Refusal(error)
    except StopIteration:
        return None
    finally:
        call.cancel()


def refused_for(call: Callable[[], Any], reason: str) -> bool:
    """Whether `call` is refused, by now, for this reason."""
    outcome = _outcome(call)
    return isinstance(outcome, Refusal) and outcome.reason == reason


def _outcome(call: Callable[[], Any]) -> Any:
    """What `call` answers, or its refusal."""
    try:
        answer = call()
        return list(answer) if isinstance(answer, Iterator) else answer
    except grpc.RpcError as error:
        return Refusal(error)
