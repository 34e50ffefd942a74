"""`python -m deploy.local`: the local stack from the command line."""

import sys
import threading
import time

import click

from deploy.local import lifecycle
from deploy.local.errors import StackError
from deploy.local.stack import for_people

_began = time.monotonic()
_line = threading.Lock()


def say(words: str) -> None:
    """One line of progress, with the time since the command began."""
    with _line:
        click.echo(f"[{time.monotonic() - _began:6.1f} s] {words}")


@click.group(help="The whole backbone on one machine, without Docker.")
def main() -> None:
    """The group of the commands below."""


@main.command()
@click.option("--infrastructure", is_flag=True, help="Only what the services stand on.")
@click.option("--brief", is_flag=True, help="Without the page of addresses and accounts.")
def up(infrastructure: bool, brief: bool) -> None:
    """Install what is missing, start everything, wait until it is healthy."""
    stack = lifecycle.up(services=not infrastructure, say=say)
    say("everything is up")
    if not brief:
        click.echo("\n" + for_people(stack))


@main.command()
def down() -> None:
    """Stop everything; data and programs stay."""
    lifecycle.down(say)
    say("everything is down")


@main.command()
def reset() -> None:
    """Stop everything and forget the data; programs stay."""
    lifecycle.reset(say)
    say("the data is forgotten")


@main.command()
def status() -> None:
    """Tell the state of each component; fails when one is not healthy."""
    sound = True
    for name, state, pid, missing in lifecycle.status():
        sound = sound and missing is None
        click.echo(f"{name:<14}{state:<10}{pid or '':<9}{missing or 'healthy'}")
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    try:
        main()
    except StackError as error:
        click.echo(f"\n{error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("\ninterrupted: the same command goes on from here", err=True)
        sys.exit(130)
