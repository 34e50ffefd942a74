"""Calling webhooks: one signed CloudEvent, one outcome, never an exception."""

import http.client
import socket
import ssl
import time
from datetime import UTC, datetime
from importlib.metadata import version

from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider
from opentelemetry import trace
from prometheus_client import Histogram

from backbone import telemetry
from backbone.settings import load
from services.exchange import messages, wire
from services.exchange.domain import endpoint, signature, tries
from services.exchange.domain.endpoint import Addresses, RefusedAddress
from services.exchange.domain.tries import Outcome
from services.exchange.settings import WebhookSettings
from services.exchange.turns import Delivery
from services.exchange.wire import Deadline, Resolve

CALLS = Histogram(
    "webhook_call_duration_seconds",
    "Time of a webhook's call, by what became of it.",
    ["outcome"],
    buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
AGENT = f"administration-backbone/{version('administration-backbone')}"


class Caller:
    """Calls endpoints under the operator's rules. Safe to share between threads."""

    def __init__(
        self,
        settings: WebhookSettings,
        resolve: Resolve = wire.resolve,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._addresses = Addresses(settings.allowed_networks)
        self._resolve = resolve
        self._context = context or ssl.create_default_context()

    def check(self, url: str) -> None:
        """Whether a webhook may have this URL.

        Raises:
            InvalidInput: it may not, or its host leads nowhere just now.
        """
        parsed = endpoint.parse(url, allow_http=self._settings.allow_http)
        try:
            self._addresses.check(self._resolve(parsed.host, parsed.port))
        except (OSError, UnicodeError, RefusedAddress):
            raise endpoint.refused_address() from None

    def tell(self, delivery: Delivery) -> Outcome:
        """Calls the endpoint once, within the time that a call may take."""
        began = time.perf_counter()
        parent = telemetry.parent(delivery.event.attributes.get("traceparent"))
        span = telemetry.entry_span("call webhook", parent, trace.SpanKind.CLIENT)
        with telemetry.entered(span):
            outcome = self._call(delivery)
            span.set_attribute("http.response.status_code", outcome.status)
        label = "delivered" if outcome.delivered else "failed"
        CALLS.labels(label).observe(time.perf_counter() - began)
        return outcome

    def _call(self, delivery: Delivery) -> Outcome:
        body = messages.body(delivery.event)
        message_id = str(delivery.event.event_id)
        now = int(time.time())
        headers = {
            "Content-Type": messages.CONTENT_TYPE,
            "User-Agent": AGENT,
            "traceparent": telemetry.traceparent(),
            **signature.headers(delivery.secrets, message_id, now, body),
        }
        try:
            parsed = endpoint.parse(delivery.url, allow_http=self._settings.allow_http)
            addresses = self._addresses.check(self._resolve(parsed.host, parsed.port))
            deadline = Deadline(self._settings.timeout)
            status, patience = wire.post(parsed, addresses, headers, body, deadline, self._context)
        except Exception as error:  # noqa: BLE001 - each is a try that failed
            return Outcome(0, _words(error))
        return tries.answered(status, patience, datetime.now(UTC))


def _words(error: Exception) -> str:
    """For the partner: what to look at, without what our network looks like."""
    table: list[tuple[type[Exception], str]] = [
        (RefusedAddress, "the host leads to an address that is not public"),
        (socket.gaierror, "the host has no address"),
        (TimeoutError, "no answer in time"),
        (ssl.SSLCertVerificationError, "the certificate is not valid for this host"),
        (ssl.SSLError, "TLS failed"),
        (ConnectionRefusedError, "the connection was refused"),
        (OSError, "the connection failed"),
        (http.client.HTTPException, "the answer is not HTTP"),
    ]
    return next((words for kind, words in table if isinstance(error, kind)), "the call failed")


class WebhookCaller(DependencyProvider):  # type: ignore[misc]
    """Injects the `Caller`."""

    def setup(self) -> None:
        self._caller = Caller(load(WebhookSettings))

    def get_dependency(self, worker_ctx: WorkerContext) -> Caller:
        return self._caller
