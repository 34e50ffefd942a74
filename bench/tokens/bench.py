"""Measures the check of tokens, and `me` through the gateway over the same call by gRPC."""

import re
from functools import partial
from pathlib import Path

import requests

from bench import load, stack
from bench.chain import handler
from bench.ratios import Spread, interleaved, ratio
from bench.report import Row, Section
from bench.tokens.check import Checks
from deploy.local import site

IN_FLIGHT = 16
SECONDS = 2.0
ROUNDS = 10
WARM, COLD, THROUGH = 20_000.0, 1.5, 0.6


def run(scratch: Path) -> Section:
    """The section of the report."""
    checks = Checks()
    checked = interleaved(
        {
            "warm": checks.warm,
            "cold": checks.cold,
            "joserfc": checks.library,
            "cryptography": checks.cryptography,
        },
        ROUNDS,
    )
    running = stack.running()
    token = stack.citizen_token(running)
    call = load.Call(load.protoset(handler.PROTO, scratch), f"{handler.SERVICE}/GetMe", "{}", token)
    gateway = running["gateway"].removeprefix("http://")
    direct = running["services"]["identity"]["grpc"]
    # Keys older than five minutes are fetched again beside the first call: not counted.
    load.grpc(direct, call, SECONDS, IN_FLIGHT)
    before = _keycloak_requests()
    served = interleaved(
        {
            "gateway": partial(
                load.http,
                gateway,
                load.Request("GET", "/v1/me", token),
                SECONDS,
                IN_FLIGHT,
                scratch,
            ),
            "gRPC": partial(load.grpc, direct, call, SECONDS, IN_FLIGHT),
        },
        ROUNDS,
    )
    return _section(checked, served, _keycloak_requests() - before)


# The watching, and this very question.
_BESIDE = re.compile(r'uri="(?:/metrics|.*/(?:admin-)?events|.*/events/config|.*/token)"')


def _keycloak_requests() -> int:
    """How many requests Keycloak has served (its own metrics, another port) that a call could have
    made: identity watches Keycloak's log all the time, with a token of its own.
    """
    address = site.load_site().address("keycloak_management")
    text = requests.get(f"http://{address}/metrics", timeout=10).text
    series = re.findall(
        r"^http_server_requests_seconds_count\{(.*)\} ([\d.]+)$", text, re.MULTILINE
    )
    return int(sum(float(count) for labels, count in series if not _BESIDE.search(labels)))


def _section(
    checked: dict[str, list[float]], served: dict[str, list[float]], asked: int
) -> Section:
    warm = Spread.of(checked["warm"])
    # Times, not rates: how much longer a cold check takes than the bare one.
    cold = {peer: ratio(checked[peer], checked["cold"]) for peer in ("joserfc", "cryptography")}
    through = ratio(served["gateway"], served["gRPC"])
    none = Spread.of([float(asked)])
    rows = [
        Row("warm", warm, "checks/s", f"≥ {WARM:,.0f}", warm.median >= WARM),
        *(
            Row(f"cold / {peer}, time", spread, "×", f"≤ {COLD}", spread.median <= COLD)
            for peer, spread in cold.items()
        ),
        Row("`me`: gateway / gRPC", through, "×", f"≥ {THROUGH}", through.median >= THROUGH),
        Row("requests to Keycloak during these", none, "", "0", asked == 0),
        *(
            Row(side, Spread.of(checked[side]), "checks/s")
            for side in ("cold", "joserfc", "cryptography")
        ),
        *(Row(f"`me`: {side}", Spread.of(figures), "calls/s") for side, figures in served.items()),
    ]
    return Section(
        "Tokens",
        f"{ROUNDS} rounds. Checks: one thread, a token of the shape that the realm gives, RS256"
        " with 2,048 bits. `me`: the running\nstack, wrk and ghz, one token,"
        f" {IN_FLIGHT} in flight, rounds of {SECONDS:g} s.",
        rows,
        [
            "Checks are counted by the thread's own time: other programs weigh on none of them.",
            "Cold is all of a first check: decoding, claims, key, signature, the cache. The peers"
            " check the signature alone: joserfc's `deserialize_compact` with the key at hand, and"
            " `cryptography`'s `verify` of bytes that are decoded already.",
            "Both sides of `me` ask the same service, which reads and writes the same database.",
            "Keycloak's own count of what it served (its metrics, on the management port), but for"
            " identity's watching of its log, which goes on all the time.",
        ],
    )
