"""A server-streaming rpc as Server-Sent Events (WHATWG HTML, section 9.2).

Each message is one event: ``event`` is the name of its type without the word Response
(``WatchInboxResponse`` → ``WatchInbox``), ``id`` the field that the contract names, ``data`` its
JSON. A reconnection's ``Last-Event-ID`` goes into the request's resume field, over what the query
says. A failure before the stream begins is a problem document with its status; a later one is
an event ``problem``, and the stream ends. A comment every fifteen seconds keeps proxies from
closing an idle stream.
"""

import asyncio
from typing import Any

import grpc
import orjson
from administration.options.v1 import options_pb2

from backbone.contracts import ContractError
from backbone.errors import DeadlineExceeded, InvalidInput
from services.gateway.backends import Backends, metadata
from services.gateway.exchange import Exchange
from services.gateway.http_rules import Binding
from services.gateway.json_encoder import encoder
from services.gateway.json_scalars import Mismatch
from services.gateway.problems import document_of
from services.gateway.requests import RequestBuilder, parameters

HEARTBEAT_SECONDS = 15.0
# A call that fails at once looks like one that began, until its status is in: wait this long.
_FAILURE_GRACE = 0.05
_HEADERS = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)


def sent_events(binding: Binding) -> options_pb2.ServerSentEvents:
    """What the contract says of the stream's identifiers."""
    options = binding.rpc.GetOptions()
    declared: options_pb2.ServerSentEvents = options.Extensions[options_pb2.server_sent_events]
    return declared


def event_name(binding: Binding) -> str:
    """The `event` of each message."""
    return binding.rpc.output_type.name.removesuffix("Response")


class EventStreamHandler:
    """Answers one binding of a server-streaming rpc.

    `timeout` bounds the wait for the stream to begin; how long it lives is the service's to say.
    `stopping` ends every stream when the gateway stops; clients resume elsewhere.
    """

    def __init__(
        self,
        binding: Binding,
        backends: Backends,
        timeout: float,
        stopping: asyncio.Event,
        heartbeat: float = HEARTBEAT_SECONDS,
    ) -> None:
        if binding.body or binding.method != "GET":
            raise ContractError(f"{binding.rpc.full_name}: an event stream is a GET")
        self._stub = backends.stub(binding.rpc)
        self._builder = RequestBuilder(binding)
        self._timeout = timeout
        self._stopping = stopping
        self._heartbeat = heartbeat
        self._encode = encoder(binding.rpc.output_type)
        self._event = event_name(binding).encode("ascii")
        declared = sent_events(binding)
        self._id_field = self._field(binding.rpc.output_type, declared.id_field, binding)
        self._resume_field = self._field(binding.rpc.input_type, declared.resume_field, binding)

    @staticmethod
    def _field(descriptor: Any, name: str, binding: Binding) -> Any:
        if not name:
            return None
        for parameter in parameters(descriptor):
            if parameter.path == name:
                return parameter
        raise ContractError(f"{binding.rpc.full_name}: {name!r} is not a value of its messages")

    async def __call__(self, exchange: Exchange, arguments: tuple[str, ...]) -> None:
        request = self._builder.build(arguments, exchange.query)
        self._resume(exchange, request)
        call = self._stub(request, metadata=metadata(exchange))
        stream = _Stream(call, exchange, self._stopping)
        try:
            await stream.began(self._timeout)
            await exchange.start(200, [*_HEADERS])
            if exchange.method != "HEAD":
                await self._tell(exchange, stream)
            await exchange.end()
        finally:
            await stream.close()

    def _resume(self, exchange: Exchange, request: Any) -> None:
        last = exchange.headers.get(b"last-event-id")
        if not last or self._resume_field is None:
            return
        try:
            self._resume_field.set(request, [last.decode("utf-8")])
        except (Mismatch, UnicodeDecodeError) as error:
            expected = error.expected if isinstance(error, Mismatch) else "has to be UTF-8"
            raise InvalidInput.field("Last-Event-ID", "WRONG_TYPE", expected) from None

    async def _tell(self, exchange: Exchange, stream: "_Stream") -> None:
        try:
            while True:
                message = await stream.next(self._heartbeat)
                if stream.over:
                    return
                await exchange.write(b":\n\n" if message is None else self._render(message))
        except grpc.aio.AioRpcError as error:
            document = orjson.dumps(document_of(error, exchange.trace_id))
            await exchange.write(b"event: problem\ndata: " + document + b"\n\n")

    def _render(self, message: Any) -> bytes:
        lines = []
        if self._id_field is not None:
            identifier = str(getattr(message, self._id_field.path))
            lines.append(b"id: " + identifier.translate(_ONE_LINE).encode())
        lines += [b"event: " + self._event, b"data: " + orjson.dumps(self._encode(message))]
        return b"\n".join(lines) + b"\n\n"


_ONE_LINE = {0: None, 10: None, 13: None}


class _Stream:
    """A call's messages, until it ends, the client leaves or the gateway stops.

    One read is always under way: cancelling a read would cancel the call.
    """

    def __init__(self, call: Any, exchange: Exchange, stopping: asyncio.Event) -> None:
        self.over = False
        self._call = call
        self._reading: asyncio.Future[Any] = asyncio.ensure_future(call.read())
        self._leaving: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(exchange.disconnected()),
            asyncio.ensure_future(stopping.wait()),
        ]

    async def began(self, timeout: float) -> None:
        """Returns when the service has begun to answer.

        Raises:
            grpc.aio.AioRpcError: it refused.
            DeadlineExceeded: it did neither in time.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._call.initial_metadata()
        except TimeoutError:
            raise DeadlineExceeded("The service did not begin to answer in time.") from None
        done, _ = await asyncio.wait([self._reading], timeout=_FAILURE_GRACE)
        if done and self._reading.exception() is not None:
            await self._reading

    async def next(self, timeout: float) -> Any:
        """The next message; None when there was none in time, or when it is over."""
        await asyncio.wait(
            [self._reading, *self._leaving], timeout=timeout, return_when=asyncio.FIRST_COMPLETED
        )
        if any(task.done() for task in self._leaving):
            self.over = True
        elif self._reading.done():
            message = await self._reading
            if message is not grpc.aio.EOF:
                self._reading = asyncio.ensure_future(self._call.read())
                return message
            self.over = True
        return None

    async def close(self) -> None:
        """Cancels the call, so that the service stops sending."""
        self._call.cancel()
        tasks = [self._reading, *self._leaving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
