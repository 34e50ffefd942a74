"""Measures the chain: calls a second of the service over those of the bare server."""

import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import requests

from bench import child, load, stack
from bench.chain import handler
from bench.ratios import Side, Spread, interleaved, ratio
from bench.report import Row, Section

IN_FLIGHT = 16
SECONDS = 2.0
ROUNDS = 12
TARGET = 0.80


def run(scratch: Path) -> Section:
    """The section of the report."""
    running = stack.running()
    call = load.Call(
        load.protoset(handler.PROTO, scratch),
        handler.METHOD,
        handler.DATA,
        stack.service_token(running, "notifications"),
    )
    with ExitStack() as children:

        def side(name: str, module: str, **settings: str) -> Side:
            own = {"grpc_listen": child.free_address(), "ops_listen": child.free_address()}
            environment = stack.environment(running, "identity", **own, **settings)
            command, address = child.python(module), own["grpc_listen"]
            children.enter_context(child.running(name, command, environment, address))
            return partial(load.grpc, address, call, SECONDS, IN_FLIGHT)

        sink = child.free_address()
        command = child.python("bench.sink", sink.rpartition(":")[2])
        children.enter_context(child.running("sink", command, os.environ, sink))
        service, traces = "bench.chain.service", {"otlp_endpoint": f"http://{sink}"}
        sides = {
            "bare": side("bare", "bench.chain.bare"),
            # The services' own default.
            "1 in 20 traced": side("chain", service, **traces, trace_ratio="0.05"),
            "every call traced": side("chain-traced", service, **traces, trace_ratio="1"),
        }
        figures = interleaved(sides, ROUNDS)
        spans = int(requests.get(f"http://{sink}", timeout=5).text)
    return _section(figures, spans)


def _section(figures: dict[str, list[float]], spans: int) -> Section:
    bare = figures.pop("bare")
    ratios = {name: ratio(figure, bare) for name, figure in figures.items()}
    rows = [
        Row(f"whole chain / bare, {name}", spread, target=target, met=met)
        for (name, spread), target, met in zip(
            ratios.items(),
            (f"≥ {TARGET:.2f}", "—"),
            (ratios["1 in 20 traced"].median >= TARGET, None),
            strict=True,
        )
    ]
    rows.append(Row("bare grpcio", Spread.of(bare), unit="calls/s"))
    rows += [Row(f"whole chain, {name}", Spread.of(f), "calls/s") for name, f in figures.items()]
    return Section(
        "A unary call through the whole chain",
        f"ghz, one connection, {IN_FLIGHT} in flight, {ROUNDS} rounds of {SECONDS:g} s. Both"
        " servers have the same handler body, messages,\nchannel options and bound of threads. Ours"
        " adds: the token checked against the real realm's keys, the access rule,\nthe field"
        " rules, a span exported by OTLP, metrics, and nameko's worker with four dependencies.",
        rows,
        [
            "A token is verified once and then found in the cache, as in a session; the spans go to"
            " a process that counts and does not decode them"
            f" ({spans:,} arrived, warm-up included).",
            "What tracing costs is the difference between the two lines: OpenTelemetry's SDK makes"
            " and encodes a span in Python, in the process that serves.",
        ],
    )
