"""Telling what happens: numbered steps, what each returned, and what failed."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click


class StepError(Exception):
    """A step did not go as it must; the message says what was seen instead."""


def expect(condition: object, seen: str) -> None:
    """Raises `StepError` with what was seen, unless the condition holds."""
    if not condition:
        raise StepError(seen)


def abridged(token: str) -> str:
    """Enough of a token to recognise it, too little to use it."""
    return f"{token[:12]}…{token[-6:]} ({len(token)} characters)"


class Narrator:
    """Counts the steps and remembers whether one failed."""

    def __init__(self) -> None:
        self._number = 0
        self.failed: list[str] = []

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step: told with its time, or with why it failed; the next ones go on."""
        self._number += 1
        click.secho(f"\n{self._number:>2}. {title}", bold=True)
        started = time.perf_counter()
        try:
            yield
        except Exception as error:  # noqa: BLE001 - the demo tells every failure, and exits 1
            self.failed.append(title)
            click.secho(f"    ✗ {type(error).__name__}: {error}", fg="red")
        else:
            click.secho(f"    ✓ {(time.perf_counter() - started) * 1000:.0f} ms", fg="green")

    def tell(self, name: str, value: Any) -> None:
        """One thing that a step returned."""
        click.echo(f"    {name:<16} {value}")
