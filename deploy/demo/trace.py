"""The trace of one request, as a tree with durations."""

import time
from collections import defaultdict
from typing import Any

import click
import requests

from deploy.demo.narrator import StepError


def fetch(collector: str, trace_id: str, services: set[str], seconds: float) -> list[Any]:
    """The spans of a trace, once each of `services` has told at least one.

    Raises:
        StepError: some have not within so many seconds.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = requests.get(f"{collector}/traces/{trace_id}", timeout=5)
        spans: list[Any] = answer.json() if answer.ok else []
        missing = services - {span["service"] for span in spans}
        if not missing:
            return spans
        if time.monotonic() > deadline:
            raise StepError(f"no span of {', '.join(sorted(missing))} in the trace {trace_id}")
        # The services send their spans twice a second.
        time.sleep(0.1)


def show(spans: list[Any]) -> None:
    """Prints the tree: when each span began, how long it took, whose it is."""
    known = {span["span_id"] for span in spans}
    children: dict[str, list[Any]] = defaultdict(list)
    for span in sorted(spans, key=lambda item: item["start_unix_nano"]):
        parent = span["parent_span_id"]
        children[parent if parent in known else ""].append(span)
    first = min(span["start_unix_nano"] for span in spans)

    def tell(span: Any, depth: int) -> None:
        began = (span["start_unix_nano"] - first) / 1e6
        name = "  " * depth + span["name"]
        click.echo(
            f"    {began:8.1f} ms {span['duration_ms']:8.1f} ms  {span['service']:<14} {name}"
        )
        for child in children[span["span_id"]]:
            tell(child, depth + 1)

    click.echo("       began      took   service        span")
    for root in children[""]:
        tell(root, 0)
