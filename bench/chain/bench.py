"""Measures the chain: calls a second of the service over those of the bare server."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench import child, load, ratios, stack
from bench.chain import handler

IN_FLIGHT = 16
SECONDS = 3.0
ROUNDS = 7


def measure(scratch: Path) -> dict[str, list[float]]:
    running = stack.running()
    call = load.Call(
        load.protoset(handler.PROTO, scratch),
        handler.METHOD,
        handler.DATA,
        stack.service_token(running, "notifications"),
    )
    with ExitStack() as children:

        def side(name: str, module: str, **settings: str) -> ratios.Side:
            address = child.free_address()
            environment = stack.environment(
                running,
                "identity",
                grpc_listen=address,
                ops_listen=child.free_address(),
                **settings,
            )
            children.enter_context(child.running(name, (module,), environment, address))
            return partial(load.grpc, address, call, SECONDS, IN_FLIGHT)

        collector = child.free_address()
        children.enter_context(
            child.running(
                "collector",
                ("deploy.local.collector", "--port", collector.rpartition(":")[2]),
                stack.environment(running, "identity"),
                collector,
            )
        )
        traces = {"otlp_endpoint": f"http://{collector}"}
        sides = {
            "bare": side("bare", "bench.chain.bare"),
            "chain": side("chain", "bench.chain.service", **traces),
            "chain005": side("chain005", "bench.chain.service", **traces, trace_ratio="0.05"),
        }
        return ratios.interleaved(sides, ROUNDS)


if __name__ == "__main__":
    import tempfile

    figures = measure(Path(tempfile.mkdtemp()))
    for name in figures:
        print(name, ratios.ratio(figures[name], figures["bare"]))
