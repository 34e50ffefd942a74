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

from deploy.demo.gateway import Gateway
from deploy.demo.realm import Realm
from deploy.local import StackError, load, pid, wait_healthy
from drills.verdict import Verdict

VICTIMS = ("documents", "notifications", "identity")
WRITERS = 4
SETTLE_SECONDS = 60.0
PAGE = 200


class Deposits:
    """Deposits until told to stop; remembers what was sent and what was acknowledged."""

    def __init__(self, gateway: Gateway, token: str, seed: int) -> None:
        self._gateway, self._token = gateway, token
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.stop = threading.Event()
        self.sent: dict[str, int] = {}
        self.acknowledged: dict[str, str] = {}

    def run(self) -> None:
        while not self.stop.is_set():
            with self._lock:
                data = self._random.randbytes(self._random.randint(1, 64 * 1024))
            digest = hashlib.sha256(data).hexdigest()
            with self._lock:
                self.sent[digest] = len(data)
            try:
                answer = self._gateway.deposit(
                    self._token, "exercice.bin", "application/octet-stream", data
                )
            except requests.RequestException:
                continue
            if answer.status_code == 201:
                with self._lock:
                    self.acknowledged[answer.json()["document"]["documentId"]] = digest
            else:
                self.stop.wait(0.05)


def run(seed: int, rounds: int) -> Verdict:
    """So many kills; the verdict compares what was acknowledged with what is there."""
    stack = load()
    chance = random.Random(seed)
    gateway, realm = Gateway(stack["gateway"]), Realm(stack)
    token = realm.sign_in("citizen")["access_token"]
    before = _documents(gateway, token)
    verdict = Verdict("kill-services", seed, limits="kill -9 keeps the page cache; one machine")

    deposits = Deposits(gateway, token, seed)
    writers = [threading.Thread(target=deposits.run) for _ in range(WRITERS)]
    for writer in writers:
        writer.start()
    for _ in range(rounds):
        deposits.stop.wait(chance.uniform(0.05, 1.0))
        victim = chance.choice(VICTIMS)
        try:
            os.kill(pid(victim), signal.SIGKILL)
        except (StackError, ProcessLookupError):
            # It is still starting after the kill before: no fault was injected.
            continue
        verdict.faults += 1
        wait_healthy(victim)
    deposits.stop.set()
    for writer in writers:
        writer.join()

    token = realm.sign_in("citizen")["access_token"]
    _judge(verdict, deposits, gateway, token, before)
    return verdict


def _judge(
    verdict: Verdict, deposits: Deposits, gateway: Gateway, token: str, before: dict[str, str]
) -> None:
    verdict.attempted, verdict.acknowledged = len(deposits.sent), len(deposits.acknowledged)
    there = {k: v for k, v in _documents(gateway, token).items() if k not in before}
    verdict.lost = [item for item in deposits.acknowledged if item not in there]
    verdict.phantom = [item for item, digest in there.items() if digest not in deposits.sent]
    for item, digest in there.items():
        content = gateway.get(f"/v1/documents/{item}/content", token)
        if hashlib.sha256(content.content).hexdigest() != digest:
            verdict.corrupt.append(item)

    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        told = _told(gateway, token)
        untold = [item for item in there if not told[item]]
        if not untold or time.monotonic() > deadline:
            break
    verdict.lost += [f"notice of {item}" for item in untold]
    verdict.duplicate = [item for item in there if told[item] > 1]
    verdict.figures = {
        "documents": len(there),
        "unacknowledged_but_whole": len(there)
        - len([item for item in there if item in deposits.acknowledged]),
    }


def _documents(gateway: Gateway, token: str) -> dict[str, str]:
    """Every document of the citizen: id → SHA-256 that the vault states."""
    return {
        item["documentId"]: item["sha256"]
        for item in _all(gateway, token, "/v1/documents", "documents")
    }


def _told(gateway: Gateway, token: str) -> Counter[str]:
    """How many inbox entries tell of the deposit of each document."""
    entries = _all(gateway, token, "/v1/inbox", "entries")
    return Counter(item["entityId"] for item in entries if item["kind"] == "DocumentDeposited")


def _all(gateway: Gateway, token: str, path: str, name: str) -> list[dict[str, str]]:
    items: list[dict[str, str]] = []
    page = ""
    while True:
        answer = gateway.get(f"{path}?pageSize={PAGE}&pageToken={page}", token)
        answer.raise_for_status()
        body = answer.json()
        items += body.get(name, [])
        page = body.get("nextPageToken", "")
        if not page:
            return items
