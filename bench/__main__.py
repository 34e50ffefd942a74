"""``python -m bench [NAME …]``; without a name all of them, and the page."""

import sys
import tempfile
from pathlib import Path

import click

from bench import report
from bench.chain import bench as chain
from bench.child import ChildFailed
from bench.gateway import bench as gateway
from bench.latency import bench as latency
from bench.latency import consume, relay
from bench.latency.bench import EventsLost
from bench.load import LoadFailed
from bench.search import bench as search
from bench.tokens import bench as tokens
from bench.tools import ToolMissing
from bench.vault import bench as vault

BENCHES = {
    "chain": chain.run,
    "gateway": gateway.run,
    "tokens": tokens.run,
    "latency": latency.run,
    "relay": relay.run,
    "consume": consume.run,
    "vault": vault.run,
    "search": search.run,
}


@click.command(help=__doc__)
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHES)))
def main(names: tuple[str, ...]) -> None:
    sections = []
    try:
        for name in names or BENCHES:
            print(name, flush=True)
            with tempfile.TemporaryDirectory() as scratch:
                sections.append(BENCHES[name](Path(scratch)))
            print(sections[-1].markdown(), end="\n\n", flush=True)
    except (ToolMissing, ChildFailed, LoadFailed, EventsLost) as error:
        sys.exit(f"bench: {error}")
    if not names:
        report.write(sections)
        print(f"written: {report.TARGET}")


if __name__ == "__main__":
    main()
