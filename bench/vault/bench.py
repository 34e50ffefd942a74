"""Measures the vault through the gateway over a bare client of the same object store."""

import http.client
import io
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import psutil

from bench import stack
from bench.load import LoadFailed
from bench.ratios import Side, Spread, interleaved, ratio
from bench.report import Row, Section
from bench.vault.place import Peak, Place, prepared
from bench.vault.upload import upload

MIB = 1024**2
LARGE, SMALL, HUGE = 64 * MIB, 64 * 1024, 5 * 1024**3
ROUNDS, CLIENTS, SMALL_EACH = 7, 8, 40
# What one deposit gives.
Made = TypeVar("Made")
PIECE = os.urandom(MIB)
# Where in the huge document a MiB is read, as parts of what can be.
PLACES = (0.0, 0.1, 0.25, 0.5, 0.77, 0.9, 1.0)


def run(_: Path) -> Section:
    """The section of the report."""
    running = stack.running()
    load = psutil.getloadavg()[0]
    with prepared(running, counted=False) as place:
        figures = _throughput(running, place)
    with prepared(running, counted=True) as place:
        huge = _huge(running, place)
    return _section(figures, huge, load)


def _throughput(running: stack.Stack, place: Place) -> dict[str, dict[str, list[float]]]:
    data = os.urandom(LARGE)
    token = partial(stack.citizen_token, running)
    document = _available(place, token(), _post(place, token(), [data], LARGE))
    place.store.put_object(
        bucket_name=place.bare_bucket, object_name="read", data=io.BytesIO(data), length=LARGE
    )
    sides: dict[str, dict[str, Side]] = {
        "deposit of 64 MiB": {
            "vault": lambda: _deposited(place, token(), data, _post_large),
            "minio": lambda: _rate(LARGE, partial(_bare_put, place, data)),
        },
        "upload of 64 MiB": {
            "vault": lambda: _deposited(place, token(), data, upload),
            "minio": lambda: _rate(LARGE, partial(_bare_put, place, data)),
        },
        "content of 64 MiB": {
            "vault": lambda: _rate(LARGE, partial(_read, place, token(), document)),
            "minio": lambda: _rate(LARGE, partial(_bare_get, place)),
        },
        "64 KiB deposits": {
            "vault": lambda: _small_deposits(place, token()),
            "minio": lambda: _small(partial(_bare_put, place))[0],
        },
    }
    figures = {}
    for name, both in sides.items():
        print(f" {name}", flush=True)
        figures[name] = interleaved(both, ROUNDS)
    return figures


def _huge(running: stack.Stack, place: Place) -> dict[str, list[float]]:
    """Of a document of 5 GiB: the memory that it takes, and what a MiB of it costs."""
    assert place.counting is not None
    print(" 5 GiB", flush=True)
    pieces = (PIECE for _ in range(HUGE // MIB))
    with Peak(place.documents) as putting:
        document = _post(place, stack.citizen_token(running), pieces, HUGE)
    _available(place, stack.citizen_token(running), document)
    with Peak(place.documents) as getting:
        _read(place, stack.citizen_token(running), document)
    read = []
    token = stack.citizen_token(running)
    for part in PLACES:
        place.counting.taken()
        offset = int(part * (HUGE - MIB))
        given = _read(place, token, document, f"bytes={offset}-{offset + MIB - 1}")
        if given != MIB:
            raise LoadFailed(f"a range of 1 MiB gave {given} bytes")
        read.append(place.counting.taken() / MIB)
    return {
        "put": [putting.bytes / MIB],
        "get": [getting.bytes / MIB],
        "range": read,
    }


def _rate(size: int, work: Callable[[], object]) -> float:
    """MiB a second."""
    started = time.perf_counter()
    work()
    return size / MIB / (time.perf_counter() - started)


def _deposited(
    place: Place, token: str, data: bytes, deposit: Callable[[Place, str, bytes], str]
) -> float:
    """MiB a second, as the depositor sees it; what the vault does with it then is waited for, so
    that it weighs on no side.
    """
    started = time.perf_counter()
    document_id = deposit(place, token, data)
    took = time.perf_counter() - started
    _available(place, token, document_id)
    return len(data) / MIB / took


def _available(place: Place, token: str, document_id: str) -> str:
    """Waits until the checks have ended; the document's identifier."""
    while (state := _state(place, token, document_id)) == "DOCUMENT_STATE_CHECKING":
        time.sleep(0.1)
    if state != "DOCUMENT_STATE_AVAILABLE":
        raise LoadFailed(f"a deposit became {state}")
    return document_id


def _state(place: Place, token: str, document_id: str) -> str:
    connection = _connected(place)
    headers = {"Authorization": f"Bearer {token}"}
    connection.request("GET", f"/v1/documents/{document_id}", headers=headers)
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    return str(body["document"]["state"])


def _small(put: Callable[[bytes], Made]) -> tuple[float, list[Made]]:
    """Deposits a second of all clients together, and what was made."""
    documents = [os.urandom(SMALL) for _ in range(CLIENTS * SMALL_EACH)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(put, documents[:CLIENTS]))
        started = time.perf_counter()
        made = list(pool.map(put, documents))
        return len(documents) / (time.perf_counter() - started), made


def _small_deposits(place: Place, token: str) -> float:
    """The same of the vault. Their checks are waited for, so that they weigh on no other side."""
    kept = threading.local()

    def post(data: bytes) -> str:
        if not hasattr(kept, "connection"):
            kept.connection = _connected(place)
        return _posted(kept.connection, token, [data], SMALL)

    rate, made = _small(post)
    for document_id in made:
        _available(place, token, document_id)
    return rate


def _post_large(place: Place, token: str, data: bytes) -> str:
    return _post(place, token, [data], len(data))


def _post(place: Place, token: str, pieces: Iterable[bytes], size: int) -> str:
    """Deposits a document; its identifier."""
    connection = _connected(place)
    try:
        return _posted(connection, token, pieces, size)
    finally:
        connection.close()


def _connected(place: Place) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(place.gateway, timeout=1200)


def _posted(
    connection: http.client.HTTPConnection, token: str, pieces: Iterable[bytes], size: int
) -> str:
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/octet-stream",
        "Content-Disposition": 'attachment; filename="bench.bin"',
        "Content-Length": str(size),
    }
    connection.request("POST", "/v1/documents", _pieces(pieces), headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 201:
        raise LoadFailed(f"POST /v1/documents: {answer.status} {body!r}")
    return str(json.loads(body)["document"]["documentId"])


def _pieces(pieces: Iterable[bytes]) -> Iterator[memoryview]:
    for piece in pieces:
        for start in range(0, len(piece), MIB):
            yield memoryview(piece)[start : start + MIB]


def _read(place: Place, token: str, document_id: str, part: str = "") -> int:
    """Reads a content, or a range of it; how many bytes came."""
    connection = _connected(place)
    headers = {"Authorization": f"Bearer {token}", **({"Range": part} if part else {})}
    connection.request("GET", f"/v1/documents/{document_id}/content", headers=headers)
    answer = connection.getresponse()
    size, room = 0, bytearray(MIB)
    while count := answer.readinto(room):
        size += count
    connection.close()
    if answer.status not in (200, 206) or size != int(answer.headers["Content-Length"]):
        raise LoadFailed(f"GET content: {answer.status}, {size} bytes")
    return size


def _bare_put(place: Place, data: bytes) -> None:
    name = str(uuid.uuid4())
    place.store.put_object(
        bucket_name=place.bare_bucket, object_name=name, data=io.BytesIO(data), length=len(data)
    )


def _bare_get(place: Place) -> None:
    answer = place.store.get_object(bucket_name=place.bare_bucket, object_name="read")
    try:
        for _ in answer.stream(MIB):
            pass
    finally:
        answer.close()
        answer.release_conn()


def _section(
    figures: dict[str, dict[str, list[float]]], huge: dict[str, list[float]], load: float
) -> Section:
    targets = {
        "deposit of 64 MiB": 0.6,
        "upload of 64 MiB": 0.9,
        "content of 64 MiB": 0.3,
        "64 KiB deposits": 0.4,
    }
    rows = []
    for name, sides in figures.items():
        spread, target = ratio(sides["vault"], sides["minio"]), targets[name]
        rows.append(
            Row(f"{name}: vault / minio", spread, "×", f"≥ {target}", spread.median >= target)
        )
        unit = "deposits/s" if name == "64 KiB deposits" else "MiB/s"
        rows += [Row(f"{name}: {side}", Spread.of(f), unit) for side, f in sides.items()]
    for name, key, limit in (
        ("memory of documents while 5 GiB are deposited", "put", 200),
        ("memory of documents while 5 GiB are read", "get", 200),
        ("read from the store for 1 MiB out of 5 GiB", "range", 3),
    ):
        spread = Spread.of(huge[key])
        rows.append(Row(name, spread, "MiB", f"≤ {limit}", spread.high <= limit))
    return Section(
        "The vault, over a bare client of its store",
        f"{ROUNDS} rounds; {CLIENTS} clients in threads for the small ones, each side's in the same"
        f" process. Load when it began: {load:.1f}.",
        rows,
        [
            "The vault's side goes through the gateway: HTTP, gRPC, SHA-256, sealing, the object"
            " store, the row and its event. The bare side is the `minio` client, whose default is"
            " three uploads at a time, on a bucket without encryption.",
            "The checks of what was deposited are waited for between the rounds: they weigh on the"
            " deposits beside them, not on the bare side.",
            "An upload goes straight to the store, in presigned forms, three parts at a time, and"
            " hashed meanwhile: its time is the depositor's, from Open to the answer of Complete."
            " Moving it into the vault and checking it come afterwards, and are waited for between"
            " the rounds.",
            "Both are on the same two cores with MinIO and PostgreSQL. Events wait in the outbox:"
            " Kafka has no part in it.",
            "The eight clients are one person: their deposits wait for one another at the row that"
            " counts their usage, from its INSERT to its COMMIT.",
            "Memory is the most that was seen, every 50 ms. What is read from the store is counted"
            " on the wire, headers included.",
        ],
    )
