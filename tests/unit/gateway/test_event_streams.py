"""Server-streaming rpcs as Server-Sent Events."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest
from administration.notifications.v1 import notifications_pb2

from backbone.errors import TooMany, Unauthenticated
from services.gateway.edge import Edge
from services.gateway.sse import _Stream
from tests.unit.gateway.conftest import Services, problem_of, start_edge

PATH = "/v1/inbox/stream"


def entry(sequence: int) -> notifications_pb2.WatchInboxResponse:
    inner = notifications_pb2.InboxEntry(sequence=sequence, kind="DocumentDeposited")
    return notifications_pb2.WatchInboxResponse(sequence=sequence, entry=inner)


def begin(context: Any) -> None:
    context.send_initial_metadata(())


def refused(error: Exception) -> Iterator[Any]:
    raise error


def events(lines: Iterator[str]) -> Iterator[dict[str, str]]:
    event: dict[str, str] = {}
    for line in lines:
        if not line and event:
            yield event
            event = {}
        elif line:
            name, _, value = line.partition(":")
            event[name] = value.removeprefix(" ")


def test_messages_are_events_with_their_ids(services: Services, client: httpx.Client) -> None:
    def watch(request: Any, context: Any) -> Iterator[Any]:
        begin(context)
        for sequence in range(request.after_sequence + 1, 4):
            yield entry(sequence)

    services.answers["WatchInbox"] = watch
    with client.stream("GET", PATH, params={"afterSequence": "1"}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-accel-buffering"] == "no"
        seen = list(events(response.iter_lines()))
    assert [(item["id"], item["event"]) for item in seen] == [
        ("2", "WatchInbox"),
        ("3", "WatchInbox"),
    ]
    document = orjson.loads(seen[0]["data"])
    assert (document["sequence"], document["entry"]["kind"]) == ("2", "DocumentDeposited")


def test_a_reconnection_resumes_after_the_last_event(
    services: Services, client: httpx.Client
) -> None:
    services.answers["WatchInbox"] = lambda *_: iter(())
    headers = {"Last-Event-ID": "41"}
    assert client.get(PATH, params={"afterSequence": "7"}, headers=headers).status_code == 200
    assert services.calls[0][1].after_sequence == 41

    document = problem_of(client.get(PATH, headers={"Last-Event-ID": "x"}))
    assert (document["status"], document["errors"][0]["field"]) == (400, "Last-Event-ID")


@pytest.mark.parametrize("after_metadata", [False, True])
def test_a_refusal_before_the_first_event_is_a_problem(
    services: Services, client: httpx.Client, after_metadata: bool
) -> None:
    for error, status in ((TooMany("Too many streams."), 429), (Unauthenticated("Who?"), 401)):

        def watch(_: Any, context: Any, error: Exception = error) -> Iterator[Any]:
            if after_metadata:
                begin(context)
            yield from refused(error)

        services.answers["WatchInbox"] = watch
        assert problem_of(client.get(PATH))["status"] == status


def test_a_failure_after_it_is_an_event_and_the_end(
    services: Services, client: httpx.Client
) -> None:
    def watch(_: Any, context: Any) -> Iterator[Any]:
        yield entry(1)
        raise Unauthenticated("The token has expired.", reason="TOKEN_EXPIRED")

    services.answers["WatchInbox"] = watch
    first, last = events(iter(client.get(PATH).text.split("\n")))
    assert first["event"] == "WatchInbox"
    assert last["event"] == "problem"
    assert "id" not in last
    assert orjson.loads(last["data"])["reason"] == "TOKEN_EXPIRED"


def test_headers_come_before_the_first_event_and_leaving_ends_the_call(
    services: Services, client: httpx.Client
) -> None:
    def watch(_: Any, context: Any) -> Iterator[Any]:
        begin(context)
        services.ended.wait(20)
        yield entry(1)

    services.answers["WatchInbox"] = watch
    with client.stream("GET", PATH) as response:
        assert response.status_code == 200
        assert not services.ended.is_set()
    assert services.ended.wait(20), "the service's call outlived its client"


def test_a_service_that_does_not_begin_is_a_problem(
    services: Services, client: httpx.Client
) -> None:
    def watch(_: Any, context: Any) -> Iterator[Any]:
        services.ended.wait(20)
        yield entry(1)

    services.answers["WatchInbox"] = watch
    assert problem_of(client.get(PATH))["status"] == 504
    assert services.ended.wait(20)


def test_stopping_the_gateway_ends_the_streams(services: Services) -> None:
    def watch(_: Any, context: Any) -> Iterator[Any]:
        begin(context)
        yield entry(1)
        services.ended.wait(20)

    services.answers["WatchInbox"] = watch
    edge: Edge = start_edge(services)
    base = f"http://127.0.0.1:{edge.port}"
    with httpx.stream("GET", base + PATH, timeout=10, trust_env=False) as response:
        lines = response.iter_lines()
        assert next(lines) == "id: 1"
        stopper = threading.Thread(target=edge.stop)
        stopper.start()
        assert [line for line in lines if line.startswith("event: problem")] == []
        stopper.join(10)
        assert not stopper.is_alive()
    assert services.ended.wait(20)


def test_silence_is_told_apart_from_a_message() -> None:
    class Quiet:
        async def read(self) -> Any:
            await asyncio.Event().wait()

        def cancel(self) -> None: ...

        async def disconnected(self) -> None:
            await asyncio.Event().wait()

    async def listen() -> None:
        quiet: Any = Quiet()
        stream = _Stream(quiet, quiet, asyncio.Event())
        assert await stream.next(0.01) is None
        assert not stream.over
        await stream.close()

    asyncio.run(listen())
