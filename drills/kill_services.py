"""``kill -9`` of services at random instants while documents are deposited.

Every deposit that the gateway acknowledged must be there with the very bytes that were sent, and
its owner told once; a deposit that was not acknowledged may be there or not, but whole. Killing a
process keeps the page cache: this says nothing about a power cut.
"""

import hashlib
import os
import random
import signal
import threading
import time
from collections import Counter

import requests

from bench.stack import citizen_token
from deploy.demo.gateway import Gateway
from deploy.local import Stack, pid, wait_healthy
from drills.verdict import Verdict

VICTIMS = ("documents", "notifications", "identity")
ROUNDS = 200
WRITERS = 4
# Seconds between two deposits of a writer: what is left has to be read again at the end.
PAUSE = 0.2
# Of the 300 s that a token lives.
TOKEN_SECONDS = 120.0
SETTLE_SECONDS = 180.0
POLL_SECONDS = 0.5
PAGE = 200


class Citizen:
    """Tokens of the development realm's citizen, each used for a part of its life."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._lock = threading.Lock()
        self._token, self._since = "", 0.0

    def token(self) -> str:
        with self._lock:
            if not self._token or time.monotonic() - self._since > TOKEN_SECONDS:
                self._token, self._since = citizen_token(self._stack), time.monotonic()
            return self._token


class Deposits:
    """Deposits until told to stop; remembers what was sent and what was acknowledged."""

    def __init__(self, gateway: Gateway, citizen: Citizen, seed: int) -> None:
        self._gateway, self._citizen = gateway, citizen
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.stop = threading.Event()
        # The digests of what was sent, each once; and those acknowledged, by document.
        self.sent: set[str] = set()
        self.acknowledged: dict[str, str] = {}

    def run(self) -> None:
        while not self.stop.wait(PAUSE):
            with self._lock:
                # Bytes at random can begin as a program does, which is refused.
                data = b"exercice" + self._random.randbytes(self._random.randint(16, 64 * 1024))
                digest = hashlib.sha256(data).hexdigest()
                self.sent.add(digest)
            try:
                answer = self._gateway.deposit(
                    self._citizen.token(), "exercice.bin", "application/octet-stream", data
                )
            except requests.RequestException:
                # No acknowledgement: the document may be there or not.
                continue
            if answer.status_code == 201:
                with self._lock:
                    self.acknowledged[answer.json()["document"]["documentId"]] = digest


def run(stack: Stack, seed: int, scale: float) -> Verdict:
    """So many kills; the verdict compares what was acknowledged with what is there."""
    chance = random.Random(seed)
    gateway, citizen = Gateway(stack["gateway"]), Citizen(stack)
    before = _documents(gateway, citizen)
    verdict = Verdict("kill-services", seed, limits="kill -9 keeps the page cache; one machine")

    deposits = Deposits(gateway, citizen, seed)
    writers = [threading.Thread(target=deposits.run, daemon=True) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(max(1, round(ROUNDS * scale))):
            deposits.stop.wait(chance.uniform(0.05, 1.0))
            victim = chance.choice(VICTIMS)
            os.kill(pid(victim), signal.SIGKILL)
            verdict.faults += 1
            wait_healthy(victim)
    finally:
        deposits.stop.set()
        for writer in writers:
            writer.join()
    _judge(verdict, deposits, gateway, citizen, before)
    return verdict


def _judge(
    verdict: Verdict,
    deposits: Deposits,
    gateway: Gateway,
    citizen: Citizen,
    before: dict[str, str],
) -> None:
    verdict.attempted, verdict.acknowledged = len(deposits.sent), len(deposits.acknowledged)
    settled(gateway, citizen)
    there = {k: v for k, v in _documents(gateway, citizen).items() if k not in before}
    verdict.lost = [item for item in deposits.acknowledged if item not in there]
    verdict.phantom = [item for item, digest in there.items() if digest not in deposits.sent]
    for item, digest in there.items():
        content = get(gateway, citizen, f"/v1/documents/{item}/content")
        if hashlib.sha256(content.content).hexdigest() != digest:
            verdict.corrupt.append(item)

    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        told = _told(gateway, citizen)
        untold = [item for item in there if not told[item]]
        if not untold or time.monotonic() > deadline:
            break
        time.sleep(POLL_SECONDS)
    verdict.lost += [f"notice of {item}" for item in untold]
    verdict.duplicate = [f"notice of {item}" for item in there if told[item] > 1]
    verdict.duplicate += [item for item, times in Counter(there.values()).items() if times > 1]
    verdict.figures = {
        "documents": len(there),
        "unacknowledged_but_whole": len(there)
        - len([item for item in there if item in deposits.acknowledged]),
    }


def settled(gateway: Gateway, citizen: Citizen) -> dict[str, str]:
    """The state of every document of the citizen, once each was checked or has had its time."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        found = everything(gateway, citizen, "/v1/documents", "documents")
        states = {
            item["documentId"]: item["state"].removeprefix("DOCUMENT_STATE_") for item in found
        }
        if "CHECKING" not in states.values() or time.monotonic() > deadline:
            return states
        time.sleep(POLL_SECONDS)


def _documents(gateway: Gateway, citizen: Citizen) -> dict[str, str]:
    """Every document of the citizen: id → SHA-256 that the vault states."""
    return {
        item["documentId"]: item["sha256"]
        for item in everything(gateway, citizen, "/v1/documents", "documents")
    }


def _told(gateway: Gateway, citizen: Citizen) -> Counter[str]:
    """How many inbox entries tell of the deposit of each document."""
    entries = everything(gateway, citizen, "/v1/inbox", "entries")
    return Counter(item["entityId"] for item in entries if item["kind"] == "DocumentDeposited")


def everything(gateway: Gateway, citizen: Citizen, path: str, name: str) -> list[dict[str, str]]:
    items: list[dict[str, str]] = []
    page = ""
    while True:
        body = get(gateway, citizen, f"{path}?pageSize={PAGE}&pageToken={page}").json()
        items += body.get(name, [])
        page = body.get("nextPageToken", "")
        if not page:
            return items


def get(gateway: Gateway, citizen: Citizen, path: str) -> requests.Response:
    """An answer, once the gateway has found the services again that have just started."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        answer = gateway.get(path, citizen.token())
        if answer.status_code != 503 or time.monotonic() > deadline:
            answer.raise_for_status()
            return answer
        time.sleep(POLL_SECONDS)
