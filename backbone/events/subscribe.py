"""The entrypoint of events: ``@subscribe(Event)`` on a method that gets a `Received[Event]`.

Several types may share a method: ``@subscribe(*contracts.public_events())``.

The method runs in the transaction that records the event as applied: ``with
self.db.transaction()`` joins it, so its effects are there once, or not at all. A method that
raises is tried again later, and no later event of the same key is applied before it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.message import Message
from nameko.extensions import Entrypoint
from opentelemetry import trace

from backbone import telemetry
from backbone.events.consumer import EventConsumer
from backbone.events.envelope import Received

Method = TypeVar("Method", bound=Callable[..., None])


class Subscribe(Entrypoint):  # type: ignore[misc]
    """The entrypoint of one event type's handler."""

    consumer = EventConsumer()

    def __init__(self, event: type[Message], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.event = event

    def setup(self) -> None:
        self.consumer.register(self.event, self._handle)

    def stop(self) -> None:
        self.consumer.stop()

    def _handle(self, received: Received[Any]) -> None:
        span = telemetry.entry_span(
            f"process {received.type.rpartition('.')[2]}",
            telemetry.parent(received.traceparent),
            trace.SpanKind.CONSUMER,
            {"messaging.system": "kafka", "messaging.message.id": str(received.id)},
        )
        with (
            telemetry.entered(span),
            self.container.worker(self, {"event": received}) as method,
        ):
            method(received)


def subscribe(*events: type[Message]) -> Callable[[Method], Method]:
    """Decorates the handler of event types: ``def on_…(self, event: Received[Event])``."""

    def decorate(method: Method) -> Method:
        for event in events:
            Subscribe.decorator(event)(method)
        return method

    return decorate
