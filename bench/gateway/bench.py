"""Measures the gateway: requests a second of ours over those of the FastAPI routes."""

import json
import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import requests

from bench import child, load, stack, tools
from bench.gateway.answers import DOCUMENT, SHARE, arguments
from bench.ratios import Side, Spread, interleaved, ratio
from bench.report import Row, Section
from deploy.local import services

IN_FLIGHT = 32
SECONDS = 2.0
ROUNDS = 10
TARGET = 1.2
# Our side twice: with a span for each request, and with the share that is the default.
DEFAULT = "gateway, 1 in 20 traced"
RATIOS = {"gateway": "1.0", DEFAULT: "0.05"}
PATH = f"/v1/documents/{DOCUMENT.document_id}"


def run(scratch: Path) -> Section:
    """The section of the report."""
    running = stack.running()
    token = stack.citizen_token(running)
    share = json.dumps(
        {
            "administration": SHARE.administration,
            "purpose": SHARE.purpose,
            "expireTime": SHARE.expire_time.ToJsonString(),
        }
    )
    routes = {
        "GET a document": load.Request("GET", PATH, token),
        "POST a share": load.Request("POST", f"{PATH}/shares", token, share),
    }
    with ExitStack() as children:
        sink, backend = child.free_address(), child.free_address()
        edges = {name: child.free_address() for name in (*RATIOS, "FastAPI")}
        port = sink.rpartition(":")[2]
        children.enter_context(
            child.running("sink", child.python("bench.sink", port), os.environ, sink)
        )
        command = (tools.built("bench/gateway/backend"), backend, *arguments())
        children.enter_context(child.running("backend", command, os.environ, backend))
        for name, address in edges.items():
            ours = name in RATIOS
            environment = stack.environment(
                running, "gateway", documents_address=backend, http_listen=address,
                ops_listen=child.free_address(), otlp_endpoint=f"http://{sink}",
                trace_ratio=RATIOS.get(name, "0"),
            )  # fmt: skip
            command = services.command("gateway") if ours else child.python("bench.gateway.peer")
            children.enter_context(child.running(f"edge-{port}", command, environment, address))
        figures = {}
        for name, request in routes.items():
            _agree(request, *edges.values())
            print(f" {name}", flush=True)
            sides: dict[str, Side] = {
                edge: partial(load.http, address, request, SECONDS, IN_FLIGHT, scratch)
                for edge, address in edges.items()
            }
            figures[name] = interleaved(sides, ROUNDS)
    return _section(figures)


def _agree(request: load.Request, *addresses: str) -> None:
    """Both sides say the same: otherwise the ratio compares two different works."""
    answers = [
        requests.request(
            request.method,
            f"http://{address}{request.path}",
            data=request.body,
            headers={
                "authorization": f"Bearer {request.token}",
                "content-type": "application/json",
            },
            timeout=10,
        ).json()
        for address in addresses
    ]
    if any(answer != answers[0] for answer in answers):
        raise load.LoadFailed(f"the sides differ: {answers}")


def _section(figures: dict[str, dict[str, list[float]]]) -> Section:
    rows = []
    for name, sides in figures.items():
        for ours in RATIOS:
            spread = ratio(sides[ours], sides["FastAPI"])
            # As in the bench of the chain, the target is for the services' own default.
            default = ours == DEFAULT
            target, met = (f"≥ {TARGET}", spread.median >= TARGET) if default else ("—", None)
            rows.append(Row(f"{name}: {ours} / FastAPI", spread, "×", target, met))
        rows += [Row(f"{name}: {side}", Spread.of(f), "req/s") for side, f in sides.items()]
    return Section(
        "The gateway, JSON to gRPC",
        f"wrk, one thread, {IN_FLIGHT} connections, {ROUNDS} rounds of {SECONDS:g} s. Each edge is"
        " one uvicorn worker with uvloop and httptools,\nover the same backend, in Go so that"
        " it takes little of the two cores, that answers every call with the same bytes.",
        rows,
        [
            "The gateway does all it does: route from the contract, unknown fields refused, spans"
            " exported by OTLP (of every request, and of the default share), metrics, security"
            " headers, CORS.",
            "The FastAPI side checks the same fields with pydantic, forwards the token, and has no"
            " tracing, metrics or headers. Answers are compared before the load.",
            "The backend checks no token: what is measured is the edge.",
        ],
    )
