"""Measures from the commit of a transaction to the entry of the event's handler."""

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from bench import child, stack
from bench.latency import pace, schema, topic
from bench.ratios import Spread, ratio
from bench.report import Row, Section
from deploy.local import kafka_settings

ROUNDS = 3
# Events a second, and the milliseconds aimed at, by percentile.
RATES: Mapping[int, Mapping[int, float]] = {100: {50: 25.0}, 500: {50: 10.0, 99: 50.0}}
# The publisher's start, its paced events, and the last of them on their way.
PATIENCE_SECONDS = 60 + pace.WARM_UP_SECONDS + pace.SECONDS
Environment = Mapping[str, str]
# The latencies of each round, by rate and side.
Figures = dict[tuple[int, str], list[list[float]]]


class EventsLost(Exception):
    """Not every event that was committed reached its handler."""


def run(scratch: Path) -> Section:
    """The section of the report."""
    running = stack.running()
    figures: Figures = {(rate, name): [] for rate in RATES for name in SIDES}
    with ExitStack() as made:
        made.enter_context(topic.made(kafka_settings(running)))
        url = made.enter_context(schema.prepared(running))
        environment = stack.environment(running, "identity", database_url=url, trace_ratio="0.05")
        for number in range(ROUNDS):
            for rate, name in figures:
                directory = scratch / f"{name.replace(' ', '-')}-{rate}-{number}"
                directory.mkdir()
                SIDES[name](environment, directory, str(rate))
                latencies = _latencies(directory)
                figures[rate, name].append(latencies)
                told = f"{name}, {rate}/s: {statistics.median(latencies):.1f} ms"
                print(f"  round {number + 1}/{ROUNDS}: {told}", flush=True)
    return _section(figures)


def _service(environment: Environment, role: str, directory: Path, rate: str) -> ExitStack:
    own = {"BACKBONE_OPS_LISTEN": child.free_address()}
    made = ExitStack()
    command = child.python("bench.latency.service", role, str(directory), rate)
    made.enter_context(
        child.running(role, command, {**environment, **own}, own["BACKBONE_OPS_LISTEN"])
    )
    return made


def _one(environment: Environment, directory: Path, rate: str) -> None:
    with _service(environment, "both", directory, rate):
        _published(directory)


def _two(environment: Environment, directory: Path, rate: str) -> None:
    # The handler's process was there first, so its relay leads: the publisher's commits wake no
    # relay, which finds them by polling.
    with _service(environment, "handle", directory, rate):
        time.sleep(3)
        with _service(environment, "publish", directory, rate):
            _published(directory)


def _services(environment: Environment, directory: Path, rate: str) -> None:
    # As from one service to another: the publisher's own relay leads, and its commits wake it. The
    # handler's process is there long before the warm-up ends.
    with (
        _service(environment, "publish", directory, rate),
        _service(environment, "handle", directory, rate),
    ):
        _published(directory)


def _peer(environment: Environment, directory: Path, rate: str) -> None:
    subprocess.run(
        child.python("bench.latency.peer", str(directory), rate),
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


def _section(figures: Figures) -> Section:
    rows = []
    for (rate, name), rounds in figures.items():
        for percent in (50, 95, 99):
            spread = Spread.of([_percentile(figure, percent) for figure in rounds])
            target = None if name == PEER else RATES[rate].get(percent)
            rows.append(
                Row(
                    f"{name}, {rate}/s, p{percent}", spread, "ms",
                    f"≤ {target:g} ms" if target else "—",
                    spread.median <= target if target else None,
                )
            )  # fmt: skip
    rows += [
        Row(
            f"{name} / {PEER}, {rate}/s, p50",
            ratio(*(_medians(figures, rate, n) for n in (name, PEER))),
        )
        for rate, name in figures
        if name != PEER
    ]
    return Section(
        f"From commit to handler, {' and '.join(map(str, RATES))} events a second",
        f"{ROUNDS} rounds of {pace.SECONDS} s after {pace.WARM_UP_SECONDS} s that are not counted."
        " From the return of `transaction()` to the first line\nof the `@subscribe` method: outbox,"
        " relay, Kafka (`acks=all`), consumer, inbox row. The peer:\n`producer.send` to"
        " `consumer.poll`.",
        rows,
        [
            "min, median and max are over the rounds.",
            "From service to service, and in one process that does both, a commit wakes the relay;"
            " in two processes of one service the publisher's does not lead, and the relay of the"
            " other finds its rows by polling.",
            "No event was lost in any round: the bench fails if one is.",
            "The bench has a role and schema of its own, dropped at the end. Its events stay on"
            " `administration.notifications.v1.Delivery`, which no service reads, until they"
            " expire.",
        ],
    )


def _medians(figures: Figures, rate: int, name: str) -> list[float]:
    return [_percentile(figure, 50) for figure in figures[rate, name]]


def _percentile(figure: list[float], percent: int) -> float:
    return statistics.quantiles(figure, n=100)[percent - 1]


PEER = "bare kafka-python"
SIDES: Mapping[str, Callable[[Environment, Path, str], None]] = {
    "service to service": _services, "one process": _one, "two processes": _two, PEER: _peer,
}  # fmt: skip
