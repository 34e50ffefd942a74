"""``python -m drills [NAMES] [--seed N] [--scale X]``: exits 1 unless every verdict is clean."""

import sys
import time
from collections.abc import Callable

import click

from deploy.local import Stack, load
from deploy.local.paths import LOCAL
from drills import (
    freeze_broker,
    kill_broker,
    kill_services,
    late_commits,
    poison,
    rebalance,
    relay_race,
    vault_crash,
)
from drills.verdict import Verdict

SEED = 972

DRILLS: dict[str, Callable[[Stack, int, float], Verdict]] = {
    "kill-services": kill_services.run,
    "relay-race": relay_race.run,
    "late-commits": late_commits.run,
    "poison": poison.run,
    "rebalance": rebalance.run,
    "kill-broker": kill_broker.run,
    "freeze-broker": freeze_broker.run,
    "vault-crash": vault_crash.run,
}


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(DRILLS)))
@click.option("--seed", default=SEED, show_default=True)
@click.option(
    "--scale",
    default=1.0,
    show_default=True,
    type=click.FloatRange(0, 10, min_open=True),
    help="Share of the faults and events of the full form.",
)
def main(names: tuple[str, ...], seed: int, scale: float) -> None:
    """Inject faults into the running stack and judge what is left: every drill, or those named."""
    passed = True
    for name in names or DRILLS:
        begun = time.monotonic()
        verdict = DRILLS[name](load(), seed, scale)
        path = verdict.save(LOCAL / "drills")
        click.echo(f"{verdict.told()} ({time.monotonic() - begun:.0f} s, {path})")
        passed = passed and verdict.passed
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
