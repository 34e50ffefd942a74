"""Webhooks on the real stack: signed, in order, tried again, given up, each at its own pace."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from backbone.partners.access import KafkaAccess
from deploy.local import kafka_settings
from services.exchange.domain import signature
from tests.support.kafka import header, internal_options, tap
from tests.support.partners_http import TOPIC, Document, Own, bearer, now, own_exchange
from tests.support.polling import eventually
from tests.support.realm import Realm
from tests.support.rpc import Client
from tests.support.webhooks import Endpoint, Received, endpoint

TRIES = 5


class Hooks:
    """The webhooks of a partner, over HTTP; those it made are gone at the end."""

    def __init__(self, gateway: httpx.Client, realm: Realm, client: str) -> None:
        self._gateway, self._realm, self._client = gateway, realm, client
        self._made: list[str] = []

    def call(self, method: str, path: str = "", **more: Any) -> httpx.Response:
        headers = bearer(self._realm.client_token(self._client))
        return self._gateway.request(method, f"/v1/webhooks{path}", headers=headers, **more)

    def make(self, url: str, **more: Any) -> tuple[str, str]:
        """Its id and its secret."""
        answer = self.call("POST", json={"topic": TOPIC, "url": url, **more})
        assert answer.status_code == 200, answer.text
        made = answer.json()
        self._made.append(made["webhook"]["webhookId"])
        return self._made[-1], made["secret"]

    def get(self, webhook_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"/{webhook_id}").json()["webhook"]
        return found

    def attempts(self, webhook_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("GET", f"/{webhook_id}/attempts").json()["attempts"]
        return found

    def disabled(self, webhook_id: str) -> bool:
        return bool(self.get(webhook_id)["state"] == "WEBHOOK_STATE_DISABLED")

    def close(self) -> None:
        for webhook_id in self._made:
            self.call("DELETE", f"/{webhook_id}")


@pytest.fixture
def hooks(gateway: httpx.Client, realm: Realm) -> Iterator[Hooks]:
    opened = Hooks(gateway, realm, "partner-caf")
    yield opened
    opened.close()


@pytest.fixture
def document(documents: Client, token: str) -> Document:
    return Document(documents, token)


@pytest.fixture
def opened() -> Iterator[Endpoint]:
    with endpoint() as made:
        yield made


def events(found: Endpoint, document: Document) -> list[str]:
    return [call.headers["webhook-id"] for call in found.about(document.id)]


def shared(hooks: Hooks, document: Document, count: int) -> str:
    """Shares a document, until the feed has all of it: since when."""
    began = now()
    with endpoint() as earlier:
        hooks.make(earlier.url())
        document.share(count)
        eventually(lambda: len(events(earlier, document)) == count)
    return began


def forgeries(call: Received) -> dict[str, Received]:
    """The same call as somebody else would make it, who knows everything but the secret."""

    def with_header(name: str, value: str) -> Received:
        return dataclasses.replace(call, headers=call.headers | {f"webhook-{name}": value})

    theirs = signature.headers([signature.new_secret()], "a", 1, call.body)["webhook-signature"]
    earlier = str(int(call.headers["webhook-timestamp"]) - 1)
    return {
        "another body": dataclasses.replace(call, body=call.body + b" "),
        "another id": with_header("id", "another"),
        "another time": with_header("timestamp", earlier),
        "an old time": with_header("timestamp", "1614265330"),
        "no time": with_header("timestamp", "now"),
        "another's signature": with_header("signature", theirs),
        "no signature": with_header("signature", ""),
        "a signature that is no ASCII": with_header("signature", "v1,é"),
        "no headers": dataclasses.replace(call, headers={}),
    }


def test_an_event_is_delivered_signed_and_its_attempt_is_told(
    hooks: Hooks, opened: Endpoint, document: Document
) -> None:
    webhook_id, secret = hooks.make(opened.url("/hook"))
    document.share()
    eventually(lambda: opened.about(document.id))
    (call,) = opened.about(document.id)
    assert call.verified(secret)
    for name, forged in forgeries(call).items():
        assert not forged.verified(secret), name
    assert not call.verified(signature.new_secret())
    assert call.event["type"] == "administration.documents.v1.DocumentShared"
    assert call.event["data"]["documentId"] == document.id
    assert call.event["id"] == call.headers["webhook-id"]
    (attempt, *_) = eventually(lambda: hooks.attempts(webhook_id))
    assert (attempt["outcome"], attempt["httpStatus"], attempt["number"]) == ("delivered", 204, 1)
    eventually(lambda: hooks.get(webhook_id)["backlog"] == "0")


def test_events_come_in_order_once_each_and_the_webhook_begins_with_what_is_new(
    hooks: Hooks, opened: Endpoint, document: Document, documents: Client, token: str
) -> None:
    before = Document(documents, token)
    with endpoint() as earlier:
        hooks.make(earlier.url())
        before.share()
        document.share(1)
        # Events of two documents may come in any order.
        eventually(lambda: earlier.about(before.id) and earlier.about(document.id))
    hooks.make(opened.url())
    document.share(10)
    eventually(lambda: len(events(opened, document)) == 10)
    times = [call.event["time"] for call in opened.about(document.id)]
    assert times == sorted(times)
    assert len(set(events(opened, document))) == 10
    assert opened.about(before.id) == []


def test_a_webhook_may_begin_at_a_date(hooks: Hooks, opened: Endpoint, document: Document) -> None:
    began = shared(hooks, document, 2)
    hooks.make(opened.url(), since=began)
    eventually(lambda: len(events(opened, document)) == 2)


def test_a_slow_webhook_delays_no_other_and_a_failing_one_neither(
    hooks: Hooks, opened: Endpoint, document: Document
) -> None:
    # They are all due at once: how long an event takes to the feed is not asked here.
    began = shared(hooks, document, 5)
    with endpoint() as slow, endpoint(500) as failing:
        slow.delay = 8.0
        hooks.make(slow.url(), since=began)
        failed, _ = hooks.make(failing.url(), since=began)
        hooks.make(opened.url(), since=began)
        eventually(lambda: len(events(opened, document)) == 5)
        # One event under way for each, and the failed one waits for its next try.
        assert len(slow.calls) == 1
        assert len({call.headers["webhook-id"] for call in failing.calls}) == 1
        eventually(lambda: hooks.get(failed)["failedTries"] >= 1)
        assert hooks.get(failed)["nextTryTime"]
        slow.let_go.set()


def test_a_secret_that_was_rotated_is_used_beside_the_new_one(
    hooks: Hooks, opened: Endpoint, document: Document
) -> None:
    webhook_id, old = hooks.make(opened.url())
    new = hooks.call("POST", f"/{webhook_id}/secret", json={}).json()["secret"]
    document.share()
    (call,) = eventually(lambda: opened.about(document.id))
    assert new != old
    assert call.verified(new)
    assert call.verified(old)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://169.254.169.254/latest/meta-data", "ADDRESS"),
        ("https://10.0.0.1/", "ADDRESS"),
        ("https://[::1]/", "ADDRESS"),
        ("https://[fd00::1]/", "ADDRESS"),
        ("https://[::ffff:10.0.0.1]/", "ADDRESS"),
        ("https://nowhere.invalid/", "ADDRESS"),
        ("ftp://127.0.0.1/", "SCHEME"),
        ("https://user@127.0.0.1/", "URL"),
    ],
)
def test_a_url_that_leads_into_our_network_is_refused(url: str, reason: str, hooks: Hooks) -> None:
    answer = hooks.call("POST", json={"topic": TOPIC, "url": url})
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert (error["field"], error["reason"]) == ("url", reason)


def test_a_webhook_is_its_client_s_alone(
    hooks: Hooks, opened: Endpoint, gateway: httpx.Client, realm: Realm
) -> None:
    webhook_id, _ = hooks.make(opened.url())
    assert webhook_id in {item["webhookId"] for item in hooks.call("GET").json()["webhooks"]}
    assert "secret" not in hooks.call("GET", f"/{webhook_id}").text
    octroi = Hooks(gateway, realm, "partner-octroi")
    assert octroi.call("GET").json()["webhooks"] == []
    for method, path in (
        ("GET", ""), ("DELETE", ""), ("POST", "/enable"), ("POST", "/secret"), ("GET", "/attempts"),
    ):  # fmt: skip
        body: dict[str, Any] = {"json": {}} if method == "POST" else {}
        answer = octroi.call(method, f"/{webhook_id}{path}", **body)
        assert (answer.status_code, answer.json()["reason"]) == (404, "WEBHOOK_NOT_FOUND"), path
    assert hooks.call("DELETE", f"/{webhook_id}").status_code == 200
    assert hooks.call("GET", f"/{webhook_id}").status_code == 404


def test_a_webhook_whose_grant_is_revoked_gets_nothing_more(
    gateway: httpx.Client, realm: Realm, stack: dict[str, Any], document: Document, opened: Endpoint
) -> None:
    octroi, access = Hooks(gateway, realm, "partner-octroi"), KafkaAccess(kafka_settings(stack))
    access.grant("partner-octroi", TOPIC)
    try:
        eventually(
            lambda: octroi.call("POST", json={"topic": TOPIC, "url": "x"}).status_code == 400
        )
        webhook_id, _ = octroi.make(opened.url())
        access.revoke("partner-octroi")
        eventually(
            lambda: octroi.call("POST", json={"topic": TOPIC, "url": "x"}).status_code == 404
        )
        document.share()
        eventually(lambda: octroi.disabled(webhook_id))
        assert octroi.get(webhook_id)["disabledCause"] == "DISABLED_CAUSE_REVOKED"
        assert octroi.call("POST", f"/{webhook_id}/enable", json={}).status_code == 404
        assert opened.calls == []
    finally:
        access.revoke("partner-octroi")
        octroi.close()


# ---- with a schedule of seconds instead of hours ------------------------------------------------


@pytest.fixture(scope="module")
def own(stack: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    log = tmp_path_factory.mktemp("exchange") / "exchange.log"
    pauses = ",".join(["0.1"] * (TRIES - 1))
    settings = {"BACKBONE_WEBHOOK_PAUSES": pauses, "BACKBONE_WEBHOOK_TIMEOUT": "10"}
    with own_exchange(stack, log, **settings) as opened:
        yield opened


def test_a_dead_endpoint_is_given_up_with_an_alert_and_enabled_goes_on_from_its_cursor(
    own: Own, hooks: Hooks, document: Document, stack: dict[str, Any], opened: Endpoint
) -> None:
    opened.status = 500
    webhook_id, secret = hooks.make(opened.url())
    with tap(internal_options(stack), "administration.exchange.v1.Webhook") as topic:
        document.share(3)
        eventually(lambda: hooks.disabled(webhook_id))
        (record,) = topic.until(lambda item: item.key == webhook_id.encode())
    assert header(record, "ce_type") == "administration.exchange.v1.WebhookDisabled"
    assert b"DISABLED_CAUSE_TRIES_EXHAUSTED" in record.value
    assert hooks.get(webhook_id)["disabledCause"] == "DISABLED_CAUSE_TRIES_EXHAUSTED"
    # The first event alone was tried: nothing of what follows went past it.
    tried = events(opened, document)
    assert (len(tried), len(set(tried))) == (TRIES, 1)
    numbers = [attempt["number"] for attempt in reversed(hooks.attempts(webhook_id))]
    assert numbers == list(range(1, TRIES + 1))
    # The last of them may come into the feed only now.
    eventually(lambda: int(hooks.get(webhook_id)["backlog"]) >= 3)

    opened.status = 204
    assert hooks.call("POST", f"/{webhook_id}/enable", json={}).status_code == 200
    eventually(lambda: len(set(events(opened, document))) == 3)
    delivered = events(opened, document)[TRIES:]
    assert delivered[0] == tried[0]
    assert len(delivered) == 3
    assert all(call.verified(secret) for call in opened.calls)


def test_an_endpoint_that_is_gone_is_not_tried_again(
    own: Own, hooks: Hooks, document: Document, opened: Endpoint
) -> None:
    opened.status = 410
    webhook_id, _ = hooks.make(opened.url())
    document.share()
    eventually(lambda: hooks.disabled(webhook_id))
    assert hooks.get(webhook_id)["disabledCause"] == "DISABLED_CAUSE_GONE"
    assert len(opened.calls) == 1


def test_an_endpoint_that_comes_back_loses_nothing(
    own: Own, hooks: Hooks, document: Document, opened: Endpoint
) -> None:
    # Five tries, and a machine that is slow to look: it must not be given up before.
    opened.status, opened.extra = 429, {"Retry-After": "5"}
    webhook_id, _ = hooks.make(opened.url())
    document.share(2)
    eventually(lambda: hooks.get(webhook_id)["failedTries"] >= 1)
    opened.status, opened.extra = 200, {}
    eventually(lambda: len(set(events(opened, document))) == 2)
    outcomes = [item["outcome"] for item in hooks.attempts(webhook_id)]
    assert "the endpoint asks for patience" in outcomes


def test_a_kill_in_the_middle_of_a_delivery_loses_nothing_and_keeps_the_order(
    own: Own, hooks: Hooks, document: Document, opened: Endpoint
) -> None:
    hooks.make(opened.url())
    opened.delay = 30.0
    document.share(4)
    eventually(lambda: opened.about(document.id), what="a call is under way")
    own.kill()
    opened.delay = 0.0
    opened.let_go.set()
    document.share(2)
    with own.serving():
        # Once the lease of the killed process has ended.
        eventually(lambda: len(set(events(opened, document))) == 6, within=120)
        told = events(opened, document)
    assert told[0] == told[1], "what was under way is told again"
    order = list(dict.fromkeys(told))
    times = {call.headers["webhook-id"]: call.event["time"] for call in opened.calls}
    assert [times[item] for item in order] == sorted(times[item] for item in order)
    assert len(told) == 7
