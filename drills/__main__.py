"""``python -m drills [--seed N] [--rounds N]``: exits 1 unless every verdict is clean."""

import sys

import click

from deploy.local.paths import LOCAL
from drills import kill_services

SEED = 972


@click.command()
@click.option("--seed", default=SEED, show_default=True)
@click.option("--rounds", default=30, show_default=True, help="Faults to inject.")
def main(seed: int, rounds: int) -> None:
    """Inject faults into the running stack and judge what is left."""
    verdict = kill_services.run(seed, rounds)
    path = verdict.save(LOCAL / "drills")
    click.echo(
        f"{verdict.drill} (seed {seed}): {verdict.faults} faults,"
        f" {verdict.acknowledged}/{verdict.attempted} acknowledged; lost {len(verdict.lost)},"
        f" phantom {len(verdict.phantom)}, duplicate {len(verdict.duplicate)},"
        f" corrupt {len(verdict.corrupt)}; {verdict.limits}"
    )
    click.echo(f"verdict: {'passed' if verdict.passed else 'FAILED'} ({path})")
    sys.exit(0 if verdict.passed else 1)


if __name__ == "__main__":
    main()
