"""``kill -9`` of the vault and of its antivirus at random instants, while good and infected
documents are deposited and read.

Every deposit that was acknowledged ends available with the very bytes that were sent, or refused
when it was infected; nothing infected was ever read, not for an instant; and what the kills left in
the store is reconciled: after one round no object is without a row, no row without its object.
"""

import hashlib
import os
import random
import signal
import threading
import time
from collections import Counter

import requests
from sqlalchemy import create_engine, text

from backbone.database import Transactions
from backbone.events.publish import Publisher
from backbone.events.relay import Relay
from deploy.demo.gateway import Gateway
from deploy.local import Stack, kafka_settings, pid, storage_operator, wait_healthy
from deploy.local.clamav import EICAR
from drills.kill_services import POLL_SECONDS, SETTLE_SECONDS, Citizen, get, settled
from drills.verdict import Verdict
from services.documents.quarantine import QuarantineSettings
from services.documents.reconciling import Reconciler, ReconcileSettings, Rounds, S3Inventory
from services.documents.s3 import StorageSettings
from services.documents.store import S3Store
from services.documents.uploading import UploadSettings

VICTIMS = ("documents", "documents", "documents", "clamav")
ROUNDS = 100
WRITERS = 3
PAUSE = 0.1
# An upload that is older was given up: the longest takes seconds.
SETTLED_UPLOAD_SECONDS = 60
INFECTED = 0.2
LARGEST = 4 * 1024 * 1024
# More than one part.
LARGE = 17 * 1024 * 1024
# Half are streamed; uploads are of one part, or now and then of two.
WAYS = (*["streamed"] * 4, *["presigned"] * 3, "parts")


def reconcile(stack: Stack, grace: float) -> Rounds:
    """A whole round, as the service does it, with another grace."""
    told = stack["storage"]
    settings = StorageSettings(
        endpoint=told["endpoint"],
        access_key=told["access_key"],
        secret_key=told["secret_key"],
        bucket=told["bucket"],
        secure=False,
    )
    engine = create_engine(stack["postgres"]["databases"]["documents"])
    rounds = Rounds(S3Inventory(settings), ReconcileSettings(grace=grace))
    # The relay of the service sends what is published here.
    idle = Relay(engine, kafka_settings(stack))
    publisher = Publisher("/services/documents", f"{stack['gateway']}/schemas", idle)
    reconciler = Reconciler(Transactions(engine), publisher, S3Store(settings), rounds)
    while reconciler.step():
        pass
    engine.dispose()
    return rounds


class Depositor:
    """Deposits until told to stop, and tries to read each document at once."""

    def __init__(self, gateway: Gateway, citizen: Citizen, seed: int) -> None:
        self._gateway, self._citizen = gateway, citizen
        self._random, self._lock = random.Random(seed), threading.Lock()
        self.stop = threading.Event()
        self.attempted = 0
        # By document: the digest of what was sent, and whether it was infected.
        self.acknowledged: dict[str, tuple[str, bool]] = {}
        self.ways: Counter[str] = Counter()
        self.read_infected: list[str] = []
        self.read_wrong: list[str] = []

    def run(self) -> None:
        while not self.stop.wait(PAUSE):
            with self._lock:
                self.attempted += 1
                infected = self._random.random() < INFECTED
                way = self._random.choice(WAYS)
                size = LARGE if way == "parts" else int(LARGEST ** self._random.random())
                infected = infected and way != "parts"
                data = EICAR if infected else b"exercice" + self._random.randbytes(size)
            digest = hashlib.sha256(data).hexdigest()
            try:
                deposit = self._gateway.deposit if way == "streamed" else self._gateway.upload
                answer = deposit(
                    self._citizen.token(), "exercice.bin", "application/octet-stream", data
                )
                if answer.status_code not in (200, 201):
                    continue
                document_id = answer.json()["document"]["documentId"]
                with self._lock:
                    self.acknowledged[document_id] = digest, infected
                    self.ways[way] += 1
                self._read(document_id, digest, infected)
            except requests.RequestException:
                # Nothing is known: it may be there or not.
                continue

    def _read(self, document_id: str, digest: str, infected: bool) -> None:
        content = self._gateway.get(f"/v1/documents/{document_id}/content", self._citizen.token())
        if content.status_code == 200 and infected:
            self.read_infected.append(document_id)
        elif content.status_code == 200 and hashlib.sha256(content.content).hexdigest() != digest:
            self.read_wrong.append(document_id)


def run(stack: Stack, seed: int, scale: float) -> Verdict:
    """So many kills; the verdict is of what is left."""
    chance = random.Random(seed)
    gateway, citizen = Gateway(stack["gateway"]), Citizen(stack)
    verdict = Verdict("vault-crash", seed, limits="kill -9 keeps the page cache; one machine")
    depositor = Depositor(gateway, citizen, seed)
    threads = [threading.Thread(target=depositor.run, daemon=True) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(max(2, round(ROUNDS * scale))):
            depositor.stop.wait(chance.uniform(0.05, 1.5))
            victim = chance.choice(VICTIMS)
            os.kill(pid(victim), signal.SIGKILL)
            verdict.faults += 1
            wait_healthy(victim)
            _wait_for_deposits(depositor)
            _end_uploads(stack)
    finally:
        depositor.stop.set()
        for thread in threads:
            thread.join()
    _judge(verdict, stack, depositor, gateway, citizen)
    return verdict


def _wait_for_deposits(depositor: Depositor) -> None:
    """Until some more are acknowledged: a kill is to hit what goes on."""
    before, deadline = len(depositor.acknowledged), time.monotonic() + SETTLE_SECONDS
    while len(depositor.acknowledged) < before + WRITERS and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS / 5)


def _end_uploads(stack: Stack) -> None:
    """Uploads that a kill interrupted would wait a day for their depositor, who may have twenty of
    them: those that are older than a minute have waited long enough.
    """
    engine = create_engine(stack["postgres"]["databases"]["documents"])
    settings = UploadSettings()
    opened = settings.seconds - SETTLED_UPLOAD_SECONDS
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE uploads SET expire_time = now()"
                " WHERE expire_time < now() + :opened * interval '1 second'"
            ),
            {"opened": opened},
        )
    engine.dispose()


def _left(stack: Stack) -> dict[str, int]:
    """What kills leave that nothing refers to, and that takes room until it is swept: parts in the
    quarantine whose document is in the vault, earlier puts of a document's object.
    """
    client = storage_operator(stack)
    parts = client.list_objects(bucket_name=QuarantineSettings().bucket, recursive=True)
    versions = client.list_objects(
        bucket_name=stack["storage"]["bucket"], recursive=True, include_version=True
    )
    return {
        "parts_left": len(list(parts)),
        "earlier_puts_left": sum(version.is_latest == "false" for version in versions),
    }


def _judge(
    verdict: Verdict, stack: Stack, depositor: Depositor, gateway: Gateway, citizen: Citizen
) -> None:
    verdict.attempted, verdict.acknowledged = depositor.attempted, len(depositor.acknowledged)
    verdict.corrupt += [f"{item}: other bytes were read" for item in depositor.read_wrong]
    verdict.corrupt += [f"{item}: infected, and was read" for item in depositor.read_infected]

    states = settled(gateway, citizen)
    for document_id, (digest, infected) in depositor.acknowledged.items():
        state = states.get(document_id)
        if state != ("REFUSED" if infected else "AVAILABLE"):
            verdict.lost.append(f"{document_id}: infected {infected}, {state}")
        elif not infected:
            content = get(gateway, citizen, f"/v1/documents/{document_id}/content").content
            if hashlib.sha256(content).hexdigest() != digest:
                verdict.corrupt.append(document_id)

    before = reconcile(stack, grace=0)
    after = reconcile(stack, grace=0)
    verdict.lost += [f"{after.last_lost} documents without their object"] if after.last_lost else []
    verdict.phantom += [f"{after.last_unowned} objects left"] if after.last_unowned else []
    verdict.figures = {
        "infected": sum(infected for _, infected in depositor.acknowledged.values()),
        "objects_reconciled": before.last_unowned,
        **depositor.ways,
        **_left(stack),
    }
