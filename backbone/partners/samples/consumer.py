"""Reads the topics that you were granted, and prints each event once.

    pip install "kafka-python>=3.0.12" crc32c
    python consumer.py          until Ctrl-C
    python consumer.py 10       ten events, then stops

An event is handled, then its offset is committed: after a crash it may come again, and is known by
its `ce_id`. Your system keeps that id in the transaction that holds the effect; here it is a file.
"""

import base64
import json
import signal
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer
from kafka.errors import KafkaError
from kafka.net.sasl.oauth import AbstractTokenProvider

FOLDER = Path(__file__).resolve().parent
SEEN = FOLDER / "seen.txt"


class RefusedError(Exception):
    """Your credentials are refused: trying again changes nothing."""


class Tokens(AbstractTokenProvider):  # type: ignore[misc]
    """Client credentials (RFC 6749, section 4.4), asked for again before a token ends.

    kafka-python calls `token` at each connection and re-authentication, on its only I/O thread:
    hence the short timeout, and one token for all of them.
    """

    def __init__(self, settings: dict[str, str]) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._token, self._renew_at = "", 0.0
        self.refused = ""

    def token(self) -> str:
        with self._lock:
            if time.monotonic() >= self._renew_at:
                answer = self._ask()
                self._token = answer["access_token"]
                self._renew_at = time.monotonic() + answer["expires_in"] * 0.75
            return self._token

    def _ask(self) -> dict[str, Any]:
        pair = f"{self._settings['CLIENT_ID']}:{self._settings['CLIENT_SECRET']}"
        request = urllib.request.Request(  # noqa: S310
            self._settings["TOKEN_URL"],
            data=b"grant_type=client_credentials",
            headers={"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
                tokens: dict[str, Any] = json.load(answer)
                return tokens
        except urllib.error.HTTPError as error:
            if error.code in (400, 401):
                self.refused = f"{self._settings['CLIENT_ID']} is refused: rotated or revoked?"
            raise


def settings() -> dict[str, str]:
    lines = (FOLDER / "partner.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def connect(read: dict[str, str], tokens: Tokens) -> KafkaConsumer:
    cafile = read["KAFKA_CAFILE"]
    return KafkaConsumer(
        *read["TOPICS"].split(","),
        bootstrap_servers=read["KAFKA_BOOTSTRAP"],
        security_protocol=read["KAFKA_SECURITY_PROTOCOL"],
        ssl_cafile=str(FOLDER / cafile) if cafile else None,
        sasl_mechanism="OAUTHBEARER",
        sasl_oauth_token_provider=tokens,
        group_id=read["GROUP"],
        enable_auto_commit=False,
        auto_offset_reset="earliest",  # a new group reads everything that is kept
    )


def attributes(record: Any) -> dict[str, str]:
    """The CloudEvents attributes, from the headers that carry them."""
    pairs = ((name, value) for name, value in record.headers if name.startswith("ce_") and value)
    return {name.removeprefix("ce_"): value.decode() for name, value in pairs}


def handle(event: dict[str, str], data: dict[str, Any]) -> None:
    """Yours to write."""
    print(json.dumps({**event, "data": data}, ensure_ascii=False), flush=True)


def consume(consumer: KafkaConsumer, tokens: Tokens, wanted: int, stop: threading.Event) -> None:
    """Until `stop`, or `wanted` events (0: no end)."""
    seen = set(SEEN.read_text().split()) if SEEN.exists() else set()
    count = 0
    with SEEN.open("a") as kept:
        while not stop.is_set():
            batches = consumer.poll(timeout_ms=500, max_records=wanted - count if wanted else 100)
            for record in (record for batch in batches.values() for record in batch):
                headers = {name: (value or b"").decode() for name, value in record.headers}
                event = {
                    n.removeprefix("ce_"): v for n, v in headers.items() if n.startswith("ce_")
                }
                if "id" not in event:
                    print(f"skipped: no CloudEvent at {record.topic}", file=sys.stderr)
                elif event["id"] not in seen:
                    handle(event, json.loads(record.value))
                    seen.add(event["id"])
                    print(event["id"], file=kept, flush=True)
                    count += 1
            if batches:
                consumer.commit()
            if tokens.refused:
                raise RefusedError(tokens.refused)
            if 0 < wanted <= count:
                return


def main() -> int:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    read = settings()
    if not read["TOPICS"]:
        print("no topic in partner.env: ask for one to be granted", file=sys.stderr)
        return 1
    tokens = Tokens(read)
    try:
        tokens.token()  # a wrong secret is told here, before Kafka
        consumer = connect(read, tokens)
        try:
            consume(consumer, tokens, int(sys.argv[1]) if len(sys.argv) > 1 else 0, stop)
        finally:
            consumer.close(autocommit=False)
    except (KafkaError, RefusedError, OSError) as error:
        print(f"stopped: {tokens.refused or error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
