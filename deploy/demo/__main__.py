"""``python -m deploy.demo``: exits 1 if any step failed."""

import sys

import click

from deploy.demo.narrator import Narrator
from deploy.demo.story import Story
from deploy.local import load


def main() -> int:
    narrator = Narrator()
    Story(load(), narrator).tell()
    if narrator.failed:
        click.secho(
            f"\n{len(narrator.failed)} steps failed: {'; '.join(narrator.failed)}", fg="red"
        )
        return 1
    click.secho("\nThe main job is done, and every stranger was refused.", fg="green", bold=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
