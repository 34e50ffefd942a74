"""Calling webhooks: what is sent, to which address, and how long it may take."""

import json
import re
import socket
import ssl
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kafka.errors import KafkaConnectionError

from backbone.errors import InvalidInput, NotFound, Unavailable
from services.exchange.caller import Caller
from services.exchange.domain import signature
from services.exchange.domain.grants import Rule
from services.exchange.feeds import FeedEventRow
from services.exchange.grants import Grants
from services.exchange.settings import WebhookSettings
from services.exchange.slots import Slots
from services.exchange.turns import Delivery
from tests.support.polling import eventually
from tests.support.webhooks import endpoint

SECRET = signature.new_secret()
TOPIC = "public.documents.v1.Document"
LOCAL = WebhookSettings(allow_http=True, allowed_networks=("127.0.0.0/8",))


def delivery(url: str) -> Delivery:
    event_id = uuid.uuid4()
    event = FeedEventRow(
        topic=TOPIC,
        sequence=1,
        event_id=event_id,
        attributes={"specversion": "1.0", "id": str(event_id), "type": "a.B", "subject": "s"},
        data=b'{"documentId": "s"}',
        time=datetime.now(UTC),
    )
    return Delivery(url, [SECRET], event, 1)


# What a server says to a caller, who may be gone before it has said all: then the event is set.
Talk = Callable[[socket.socket, threading.Event], object]


@contextmanager
def raw(talk: Talk) -> Iterator[str]:
    """A server that says to its first caller whatever `talk` does; gives its URL."""
    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            caller, _ = server.accept()
            with caller:
                caller.recv(65536)
                with suppress(OSError):
                    talk(caller, gone)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        gone.set()
        thread.join(10)


def test_an_endpoint_gets_a_signed_cloudevent() -> None:
    with endpoint() as opened:
        sent = delivery(opened.url("/events?for=caf"))
        outcome = Caller(LOCAL).tell(sent)
    assert outcome.delivered
    (call,) = opened.calls
    assert call.path == "/events?for=caf"
    assert call.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert call.headers["host"] == f"127.0.0.1:{opened.port}"
    body = json.loads(call.body)
    assert body["id"] == call.headers["webhook-id"] == str(sent.event.event_id)
    assert body["data"] == {"documentId": "s"}
    assert body["datacontenttype"] == "application/json"
    assert abs(int(call.headers["webhook-timestamp"]) - time.time()) < 60
    assert call.verified(SECRET)
    assert not call.verified(signature.new_secret())


def test_the_sample_that_partners_are_given_verifies_a_call() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/partners.md").read_text()
    (sample,) = re.findall(r"```python\n(import base64.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(sample, names)
    with endpoint() as opened:
        Caller(LOCAL).tell(delivery(opened.url()))
    (call,) = opened.calls
    assert names["verified"](SECRET, call.headers, call.body)
    assert not names["verified"](signature.new_secret(), call.headers, call.body)
    assert not names["verified"](SECRET, call.headers, call.body + b" ")
    late = call.headers | {"webhook-timestamp": str(int(time.time()) - 301)}
    assert not names["verified"](SECRET, late, call.body)


def test_a_forged_or_changed_call_is_not_verified() -> None:
    with endpoint() as opened:
        Caller(LOCAL).tell(delivery(opened.url()))
    (call,) = opened.calls
    call.body += b" "
    assert not call.verified(SECRET)


def test_a_redirect_is_not_followed() -> None:
    with endpoint() as other, endpoint(302, {"Location": other.url()}) as opened:
        outcome = Caller(LOCAL).tell(delivery(opened.url()))
    assert (outcome.status, outcome.delivered) == (302, False)
    assert other.calls == []


def test_the_address_that_was_checked_is_the_one_that_is_called() -> None:
    """A name that leads elsewhere a moment later (DNS rebinding) gains nothing by it."""
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    with endpoint() as opened:
        caller = Caller(LOCAL, rebinding)
        assert caller.tell(delivery(f"http://caf.example:{opened.port}/")).delivered
        assert asked == ["caf.example"]
        assert opened.calls[0].headers["host"] == f"caf.example:{opened.port}"
        again = caller.tell(delivery(f"http://caf.example:{opened.port}/"))
    assert again.words == "the host leads to an address that is not public"
    assert len(opened.calls) == 1


def test_an_address_of_our_own_network_is_never_called() -> None:
    with endpoint() as opened:
        strict = Caller(WebhookSettings(allow_http=True))
        for url in (opened.url(), f"http://localhost:{opened.port}/"):
            with pytest.raises(InvalidInput):
                strict.check(url)
            assert not strict.tell(delivery(url)).delivered
    assert opened.calls == []


def drip(caller: socket.socket, gone: threading.Event) -> None:
    caller.sendall(b"HTTP/1.1 200 OK\r\n")
    for _ in range(90):
        caller.sendall(b"X-Slow: 1\r\n")
        gone.wait(0.1)


@pytest.mark.parametrize(
    ("talk", "words"),
    [
        # Whoever waited for these until their end would say that the connection failed.
        (lambda caller, gone: gone.wait(9), "no answer in time"),
        (drip, "no answer in time"),
        (lambda caller, _: caller.sendall(b"SSH-2.0-OpenSSH\r\n\r\n"), "the answer is not HTTP"),
        (lambda caller, _: None, "the connection failed"),
    ],
)
def test_an_endpoint_that_does_not_answer_costs_no_more_than_the_time_of_a_call(
    talk: Talk, words: str
) -> None:
    with raw(talk) as url:
        outcome = Caller(LOCAL.model_copy(update={"timeout": 3.0})).tell(delivery(url))
    assert (outcome.status, outcome.words) == (0, words)


def test_an_answer_without_an_end_is_cut() -> None:
    def flood(caller: socket.socket, gone: threading.Event) -> None:
        caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
        for _ in range(10_000):
            caller.sendall(b"x" * 65536)

    with raw(flood) as url:
        assert Caller(LOCAL).tell(delivery(url)).delivered


def test_a_port_where_nobody_listens_is_a_failed_try() -> None:
    with endpoint() as opened:
        url = opened.url()
    assert Caller(LOCAL).tell(delivery(url)).words == "the connection was refused"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and a certificate of its own authority, for the name caf.example."""
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=caf.example", "-addext", "subjectAltName=DNS:caf.example"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subprocess.run([*command, *subject, *files], check=True, capture_output=True)
    return folder


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


@pytest.mark.parametrize(
    ("host", "trusted", "words"),
    [
        ("caf.example", True, "delivered"),
        ("other.example", True, "the certificate is not valid for this host"),
        ("caf.example", False, "the certificate is not valid for this host"),
    ],
)
def test_over_tls_the_certificate_has_to_be_the_name_s_at_the_pinned_address(
    certificate: Path, host: str, trusted: bool, words: str
) -> None:
    authority = str(certificate / "cert.pem") if trusted else None
    with endpoint(tls=serving(certificate)) as opened:
        caller = Caller(
            LOCAL,
            lambda host, port: ["127.0.0.1"],
            ssl.create_default_context(cafile=authority),
        )
        outcome = caller.tell(delivery(f"https://{host}:{opened.port}/"))
    assert outcome.words == words
    assert len(opened.calls) == (1 if words == "delivered" else 0)


def test_a_slot_that_is_slow_keeps_no_other() -> None:
    def spawn(work: Callable[[], None]) -> None:
        threading.Thread(target=work, daemon=True).start()

    slots, hold, done = Slots(2, spawn), threading.Event(), threading.Event()
    slots.run(lambda: hold.wait(20))
    slots.run(done.set)
    assert done.wait(10)
    eventually(lambda: slots.free() == 1)
    hold.set()
    slots.stop(10)
    assert slots.free() == 0


def test_grants_are_asked_for_once_and_nobody_reads_when_kafka_does_not_answer() -> None:
    asked: list[int] = []
    rule = Rule("User:partner-caf", TOPIC, prefixed=False, allows=True)

    def ask() -> list[Rule]:
        asked.append(1)
        if len(asked) > 1:
            raise KafkaConnectionError("gone")
        return [rule]

    grants = Grants(ask, [TOPIC])
    grants.require("partner-caf", TOPIC)
    for client, topic in (("partner-octroi", TOPIC), ("partner-caf", "public.other"), ("", TOPIC)):
        with pytest.raises(NotFound):
            grants.require(client, topic)
    assert len(asked) == 1
    grants._until = 0.0
    with pytest.raises(Unavailable):
        grants.require("partner-caf", TOPIC)
