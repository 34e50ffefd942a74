"""Measures searches among 100,000 documents of one person, and what blinding costs."""

import base64
import http.client
import json
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

import psutil
import psycopg

from bench import stack
from bench.load import LoadFailed
from bench.ratios import Side, Spread, interleaved, ratio
from bench.report import Row, Section
from bench.search.filled import fill
from bench.vault.place import prepared

DOCUMENTS, ROUNDS, EACH, TARGET = 100_000, 7, 10, 50.0
# What the service asks, of lexemes that are written down.
_PLAIN = """
WITH matches AS (
    SELECT document_id, create_time, lexemes FROM plain_entries
    WHERE owner_id = %(owner)s AND lexemes @@ websearch_to_tsquery('french', %(query)s)
    ORDER BY create_time DESC, document_id DESC LIMIT 1000
)
SELECT documents.* FROM matches JOIN documents USING (document_id)
ORDER BY ts_rank(lexemes, websearch_to_tsquery('french', %(query)s), 1) DESC LIMIT 51
"""


def run(_: Path) -> Section:
    """The section of the report."""
    running = stack.running()
    load = psutil.getloadavg()[0]
    owner_id = uuid.UUID(_subject(stack.citizen_token(running)))
    with prepared(running, counted=False) as place:
        words = fill(running, place.database_url, owner_id, DOCUMENTS)
        queries = {
            "the most common word": words[0],
            "a word of some hundred documents": words[2_000],
            "a rare word": words[-1],
            "two common words": f"{words[0]} {words[1]}",
            "a phrase": f'"{words[0]} {words[1]}"',
            "one of two, without a third": f"{words[50]} or {words[60]} -{words[5]}",
        }
        url = place.database_url.replace("postgresql+psycopg:", "postgresql:")
        with psycopg.connect(url) as plain, _connected(place.gateway) as edge:
            sides: dict[str, Side] = {}
            for name, query in queries.items():
                sides[name] = partial(_blind, running, edge, query)
                asked = {"owner": owner_id, "query": query}
                sides[f"{name}: plain"] = partial(_median, partial(_asked, plain, asked))
            figures = interleaved(sides, ROUNDS)
    return _section(queries, figures, load)


def _blind(running: stack.Stack, edge: http.client.HTTPConnection, query: str) -> float:
    # A token does not last for all rounds.
    return _median(partial(_searched, edge, stack.citizen_token(running), query))


def _median(work: Callable[[], object]) -> float:
    """Milliseconds, of some times."""
    took = []
    for _ in range(EACH):
        started = time.perf_counter()
        work()
        took.append((time.perf_counter() - started) * 1000)
    return statistics.median(took)


@contextmanager
def _connected(address: str) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(address, timeout=60)
    try:
        yield connection
    finally:
        connection.close()


def _searched(edge: http.client.HTTPConnection, token: str, query: str) -> None:
    path = f"/v1/documents/search?{urlencode({'q': query})}"
    edge.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    answer = edge.getresponse()
    body = answer.read()
    if answer.status != 200 or not json.loads(body).get("documents"):
        raise LoadFailed(f"GET {path}: {answer.status} {body[:200]!r}")


def _asked(plain: psycopg.Connection, asked: dict[str, object]) -> None:
    if not plain.execute(_PLAIN, asked).fetchall():
        raise LoadFailed(f"nothing was found: {asked}")


def _subject(token: str) -> str:
    claims = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"])


def _section(queries: dict[str, str], figures: dict[str, list[float]], load: float) -> Section:
    both = [
        [statistics.median(figures[name + end][n] for name in queries) for n in range(ROUNDS)]
        for end in ("", ": plain")
    ]
    median = Spread.of(both[0])
    rows = [Row("all queries", median, "ms", f"≤ {TARGET:.0f}", median.median <= TARGET)]
    rows += [Row(name, Spread.of(figures[name]), "ms") for name in queries]
    rows.append(Row("all queries, plain lexemes, in SQL", Spread.of(both[1]), "ms"))
    rows.append(Row("blind through the gateway / plain in SQL", ratio(*both)))
    return Section(
        f"Search among {DOCUMENTS:,} documents",
        f"{ROUNDS} rounds, the median of {EACH} searches of each kind in each. Load when it began:"
        f" {load:.1f}.",
        rows,
        [
            "All documents are one person's, 120 words each, of 20,000 different ones as often as"
            " words are (Zipf). A page of 50 documents is answered.",
            "The blind side goes through the gateway: HTTP, gRPC, the token, the search key,"
            " PostgreSQL's parser, the index, the rank. The plain side is the same question in SQL"
            " to the same PostgreSQL, over an index of readable words.",
        ],
    )
