"""Measures from the commit of a transaction to the entry of the event's handler."""

import os
import statistics
import subprocess
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from backbone.settings import KafkaSettings
from bench import child, stack
from bench.latency import pace, schema, topic
from bench.ratios import Spread, ratio
from bench.report import Row, Section

ROUNDS = 3
TARGET = 25.0
# The publisher's start, its paced events, and the last of them on their way.
PATIENCE_SECONDS = 60 + (pace.WARM_UP + pace.COUNT) / pace.RATE
Environment = Mapping[str, str]


class EventsLost(Exception):
    """Not every event that was committed reached its handler."""


def run(scratch: Path) -> Section:
    """The section of the report."""
    running = stack.running()
    figures: dict[str, list[list[float]]] = {"one process": [], "two processes": [], "peer": []}
    with ExitStack() as made:
        made.enter_context(topic.made(kafka(running)))
        url = made.enter_context(schema.prepared(running))
        environment = stack.environment(running, "identity", database_url=url, trace_ratio="0.05")
        for number in range(ROUNDS):
            for name, measure in (
                ("one process", _one), ("two processes", _two), ("peer", _peer),
            ):  # fmt: skip
                directory = scratch / f"{name.replace(' ', '-')}-{number}"
                directory.mkdir()
                measure(environment, directory)
                figures[name].append(_latencies(directory))
                median = statistics.median(figures[name][-1])
                print(f"  round {number + 1}/{ROUNDS}: {name} {median:.1f} ms", flush=True)
    return _section(figures)


def kafka(running: stack.Stack) -> KafkaSettings:
    """How the stack's Kafka is reached; benches have no environment of their own."""
    told = running["kafka"]
    return KafkaSettings(
        bootstrap=told["internal"], username=told["username"], password=told["password"]
    )


def _service(environment: Environment, role: str, directory: Path) -> ExitStack:
    own = {"BACKBONE_OPS_LISTEN": child.free_address()}
    made = ExitStack()
    command = child.python("bench.latency.service", role, str(directory))
    made.enter_context(
        child.running(role, command, {**environment, **own}, own["BACKBONE_OPS_LISTEN"])
    )
    return made


def _one(environment: Environment, directory: Path) -> None:
    with _service(environment, "both", directory):
        _published(directory)


def _two(environment: Environment, directory: Path) -> None:
    # The handler's process was there first, so its relay leads: the publisher's commits wake no
    # relay, which finds them by polling.
    with _service(environment, "handle", directory):
        time.sleep(3)
        with _service(environment, "publish", directory):
            _published(directory)


def _peer(environment: Environment, directory: Path) -> None:
    subprocess.run(
        child.python("bench.latency.peer", str(directory)),
        env={**os.environ, **environment},
        timeout=PATIENCE_SECONDS,
        check=True,
    )


def _published(directory: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (directory / "committed.json").exists():
        if time.monotonic() > deadline:
            raise EventsLost("the publisher did not come to its end: see .local/log/bench-*.log")
        time.sleep(0.2)
    time.sleep(2)


def _latencies(directory: Path) -> list[float]:
    """Milliseconds, one for each event; a handler may be entered before the commit returns."""
    committed = pace.load(directory / "committed.json")
    handled = pace.load(directory / "handled.json")
    lost = committed.keys() - handled.keys()
    if lost:
        raise EventsLost(f"{len(lost)} of {len(committed)} events reached no handler")
    return [max(0.0, (handled[name] - moment) / 1e6) for name, moment in committed.items()]


def _section(figures: dict[str, list[list[float]]]) -> Section:
    rows = []
    medians = {name: [statistics.median(r) for r in rounds] for name, rounds in figures.items()}
    for name in ("one process", "two processes"):
        median = Spread.of(medians[name])
        met = median.median <= TARGET
        rows.append(Row(f"{name}, p50", median, "ms", f"≤ {TARGET:g} ms", met))
        rows += [_percentile(name, figures[name], p) for p in (95, 99)]
        rows.append(Row(f"{name} / bare kafka-python, p50", ratio(medians[name], medians["peer"])))
    rows.append(Row("bare kafka-python, p50", Spread.of(medians["peer"]), "ms"))
    rows += [_percentile("bare kafka-python", figures["peer"], p) for p in (95, 99)]
    return Section(
        f"From commit to handler, {pace.RATE} events a second",
        f"{ROUNDS} rounds of {pace.COUNT} events after {pace.WARM_UP} that are not counted. From"
        " the return of `transaction()` to the first line\nof the `@subscribe` method: outbox,"
        " relay, Kafka (`acks=all`), consumer, inbox row. The peer:\n`producer.send` to"
        " `consumer.poll`.",
        rows,
        [
            "min, median and max are over the rounds.",
            "In one process a commit wakes the relay; in two the publisher's process does not lead,"
            " and the relay of the other finds its rows by polling.",
            "No event was lost in any round: the bench fails if one is.",
            "The bench has a role and schema of its own, dropped at the end. Its events stay on"
            " `administration.notifications.v1.Delivery`, which no service reads, until they"
            " expire.",
        ],
    )


def _percentile(name: str, rounds: list[list[float]], percent: int) -> Row:
    cut = [statistics.quantiles(figures, n=100)[percent - 1] for figures in rounds]
    return Row(f"{name}, p{percent}", Spread.of(cut), "ms")
