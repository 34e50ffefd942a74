"""Exchange's rules: cursors, signatures, endpoints, tries, grants."""

import base64
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbone.errors import InvalidInput
from services.exchange.domain import endpoint, grants, signature, tries
from services.exchange.domain.cursor import Cursors
from services.exchange.domain.endpoint import Addresses, RefusedAddress
from services.exchange.domain.grants import Rule
from services.exchange.domain.tries import Cause, Outcome
from services.exchange.settings import PAUSES, WebhookSettings

TOPIC = "public.documents.v1.Document"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
cursors = Cursors(b"k" * 32)


def refusal(url: str, *, allow_http: bool = False) -> str:
    with pytest.raises(InvalidInput) as refused:
        endpoint.parse(url, allow_http=allow_http)
    (violation,) = refused.value.fields
    assert violation.field == "url"
    return violation.reason


# ---- cursors ------------------------------------------------------------------------------------


@given(st.integers(0, 2**63 - 1), st.text(), st.text())
def test_a_cursor_is_read_as_it_was_written(sequence: int, client: str, topic: str) -> None:
    assert cursors.read(client, topic, cursors.write(client, topic, sequence)) == sequence


@pytest.mark.parametrize(
    ("client", "topic", "key"),
    [
        ("partner-octroi", TOPIC, b"k" * 32),
        ("partner-caf", "public.identity.v1.Account", b"k" * 32),
        ("partner-caf", TOPIC, b"another key"),
    ],
)
def test_a_cursor_of_another_client_topic_or_deployment_is_refused(
    client: str, topic: str, key: bytes
) -> None:
    foreign = Cursors(key).write(client, topic, 7)
    with pytest.raises(InvalidInput) as refused:
        cursors.read("partner-caf", TOPIC, foreign)
    assert [item.field for item in refused.value.fields] == ["after"]


@given(st.text(max_size=60) | st.binary(max_size=40).map(lambda b: base64.b64encode(b).decode()))
def test_whatever_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        cursors.read("partner-caf", TOPIC, text)


def test_a_cursor_that_was_changed_is_refused() -> None:
    written = cursors.write("partner-caf", TOPIC, 41)
    for place in range(len(written)):
        changed = written[:place] + ("A" if written[place] != "A" else "B") + written[place + 1 :]
        # The last character has bits that carry nothing.
        if place < len(written) - 1:
            with pytest.raises(InvalidInput):
                cursors.read("partner-caf", TOPIC, changed)


# ---- signatures ---------------------------------------------------------------------------------


def test_a_signature_is_that_of_the_standard_webhooks_libraries() -> None:
    signed = signature.sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_during_a_rotation_a_call_has_a_signature_of_each_secret() -> None:
    old, new = signature.new_secret(), signature.new_secret()
    headers = signature.headers([new, old], "a", 1, b"{}")
    assert headers["webhook-signature"].split() == [
        signature.sign(new, "a", 1, b"{}"),
        signature.sign(old, "a", 1, b"{}"),
    ]


def test_secrets_are_of_the_length_that_the_specification_asks_for() -> None:
    secret = signature.new_secret()
    assert secret.startswith("whsec_")
    assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"))) <= 64
    assert secret != signature.new_secret()


# ---- endpoints ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "host", "port", "target", "authority"),
    [
        ("https://caf.example/events", "caf.example", 443, "/events", "caf.example"),
        ("https://caf.example:8443?a=b", "caf.example", 8443, "/?a=b", "caf.example:8443"),
        ("https://CAF.Example./", "caf.example.", 443, "/", "caf.example."),
        ("https://métropole.example/", "xn--mtropole-b1a.example", 443, "/",
         "xn--mtropole-b1a.example"),
        ("https://[2606:4700::1]/x", "2606:4700::1", 443, "/x", "[2606:4700::1]"),
    ],
)  # fmt: skip
def test_a_url_is_taken_apart(url: str, host: str, port: int, target: str, authority: str) -> None:
    found = endpoint.parse(url)
    assert (found.host, found.port, found.target, found.authority) == (
        host, port, target, authority,
    )  # fmt: skip
    assert found.secure


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://caf.example/", "SCHEME"),
        ("ftp://caf.example/", "SCHEME"),
        ("file:///etc/passwd", "SCHEME"),
        ("//caf.example/", "SCHEME"),
        ("", "SCHEME"),
        ("https://", "HOST"),
        ("https:///path", "HOST"),
        ("https://user:password@caf.example/", "URL"),
        ("https://caf.example\\@127.0.0.1/", "URL"),
        ("https://caf.example/#fragment", "URL"),
        ("https://caf.example:99999/", "URL"),
        ("https://caf.example:0/", "URL"),
        ("https://caf.example/\r\nHost: other", "URL"),
        ("https://caf.example/a b", "URL"),
        ("https://caf.example/é", "URL"),
        ("https://caf_.exa mple/", "URL"),
        ("https://caf..example/", "HOST"),
        ("https://[::1/", "URL"),
        ("https://a%2eb/", "HOST"),
    ],
)
def test_a_url_that_a_webhook_may_not_have_is_refused(url: str, reason: str) -> None:
    assert refusal(url) == reason


def test_without_tls_only_where_the_operator_allows_it() -> None:
    found = endpoint.parse("http://caf.example/", allow_http=True)
    assert (found.secure, found.port) == (False, 80)
    assert refusal("gopher://caf.example/", allow_http=True) == "SCHEME"


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "10.1.2.3", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.8.8.8",
        "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192",
        "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
        "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1",
        "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1",
        "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "2606:4700::1%eth0", "fec0::1",
        "ff02::1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not Addresses().admits(ip_address(address))
    with pytest.raises(RefusedAddress):
        Addresses().check([address])


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "172.15.255.255", "193.0.0.1", "2606:4700::1", "::ffff:1.1.1.1",
                "64:ff9b::101:101"],
)  # fmt: skip
def test_a_public_address_is_admitted(address: str) -> None:
    assert Addresses().check([address]) == [ip_address(address)]


def test_a_name_with_one_address_that_is_not_public_is_refused_whole() -> None:
    with pytest.raises(RefusedAddress):
        Addresses().check(["1.1.1.1", "10.0.0.1"])
    with pytest.raises(RefusedAddress):
        Addresses().check([])


def test_a_network_that_the_operator_allows_is_admitted_in_every_spelling() -> None:
    intranet = Addresses(["10.20.0.0/16", "fd00:1::/32"])
    admitted = ["10.20.1.1", "::ffff:10.20.1.1", "fd00:1::5"]
    assert all(intranet.admits(ip_address(text)) for text in admitted)
    assert not intranet.admits(ip_address("10.21.0.1"))
    assert not intranet.admits(ip_address("127.0.0.1"))


@given(st.ip_addresses(v=4))
def test_what_python_holds_for_private_is_refused(address: IPv4Address) -> None:
    if not address.is_global or address.is_multicast:
        assert not Addresses().admits(address)
    mapped = IPv6Address(f"::ffff:{address}")
    assert Addresses().admits(mapped) == Addresses().admits(address)


@given(st.ip_addresses(v=6))
def test_what_python_holds_for_private_is_refused_in_ipv6(address: IPv6Address) -> None:
    if not address.is_global or address.is_multicast:
        assert not Addresses().admits(address)


# ---- tries --------------------------------------------------------------------------------------


def test_there_are_thirteen_tries_within_a_day() -> None:
    assert WebhookSettings().pauses == PAUSES
    assert len(PAUSES) + 1 == 13
    assert 20 * 3600 < sum(PAUSES) < 24 * 3600
    assert list(PAUSES) == sorted(PAUSES)


def run(outcomes: Iterable[Outcome]) -> list[tries.Verdict]:
    return [
        tries.verdict(outcome, number, PAUSES) for number, outcome in enumerate(outcomes, start=1)
    ]


def test_a_dead_endpoint_is_given_up_after_the_last_try() -> None:
    verdicts = run([Outcome(0, "no answer in time")] * 13)
    assert [item.disabled for item in verdicts] == [Cause.NONE] * 12 + [Cause.TRIES_EXHAUSTED]
    for pause, item in zip(PAUSES, verdicts[:12], strict=True):
        assert 0.9 * pause <= item.pause.total_seconds() <= 1.1 * pause


def test_an_endpoint_that_is_gone_is_given_up_at_once() -> None:
    assert tries.verdict(tries.answered(410, "", NOW), 1, PAUSES).disabled is Cause.GONE


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_an_answer_of_success_is_a_delivery(status: int) -> None:
    assert tries.answered(status, "", NOW).delivered


@pytest.mark.parametrize("status", [100, 199, 301, 307, 308, 400, 401, 404, 429, 500, 503, 599])
def test_every_other_answer_is_a_failed_try(status: int) -> None:
    outcome = tries.answered(status, "", NOW)
    assert not outcome.delivered
    assert outcome.status == status
    assert outcome.words != "delivered"


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [
        ("120", 120),
        (" 5 ", 5),
        ("0", 0),
        ("99999999999999999999", 12 * 3600),
        (format_datetime(NOW + timedelta(minutes=3), usegmt=True), 180),
        (format_datetime(NOW - timedelta(days=3), usegmt=True), 0),
        ("", 0),
        ("-5", 0),
        ("soon", 0),
        ("٣", 0),
    ],
)
def test_an_endpoint_that_asks_for_patience_gets_it(retry_after: str, seconds: int) -> None:
    assert tries.answered(429, retry_after, NOW).retry_after == timedelta(seconds=seconds)
    assert tries.answered(503, retry_after, NOW).retry_after == timedelta(seconds=seconds)
    assert tries.answered(500, retry_after, NOW).retry_after == timedelta(0)
    pause = tries.verdict(tries.answered(429, retry_after, NOW), 1, (0.0,)).pause
    assert pause == timedelta(seconds=seconds)


# ---- grants -------------------------------------------------------------------------------------

MINE = Rule("User:partner-caf", TOPIC, prefixed=False, allows=True)


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        ([], False),
        ([MINE], True),
        ([Rule("User:partner-octroi", TOPIC, prefixed=False, allows=True)], False),
        ([Rule("User:partner-caf", "public.documents", prefixed=True, allows=True)], True),
        ([Rule("User:partner-caf", "public.documents", prefixed=False, allows=True)], False),
        ([Rule("User:*", "*", prefixed=False, allows=True)], True),
        ([MINE, Rule("User:*", "public.", prefixed=True, allows=False)], False),
        ([MINE, Rule("User:partner-caf", TOPIC, prefixed=False, allows=False)], False),
        ([MINE, Rule("User:partner-caf", TOPIC, False, allows=False, host="192.0.2.1")], False),
        ([Rule("User:partner-caf", TOPIC, False, allows=True, host="192.0.2.1")], False),
    ],
)
def test_a_topic_is_read_by_whom_kafka_would_let_read_it(rules: list[Rule], allowed: bool) -> None:
    assert grants.may_read(rules, "partner-caf", TOPIC) is allowed
