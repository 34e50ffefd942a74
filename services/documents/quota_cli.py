"""``backbone quota``: what a person or an administration has in the vault, and may have."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import click

from backbone.database import open_database
from backbone.settings import load
from services.documents.quotas import QuotaSettings, Usages

_PAYER = re.compile(r"person:[0-9a-f-]{36}|administration:[a-z0-9]+(-[a-z0-9]+)*")


class Payer(click.ParamType[str]):
    name = "person:<account> or administration:<alias>"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if _PAYER.fullmatch(value) is None:
            self.fail("write person:<account id> or administration:<alias>", param, ctx)
        return value


@click.group()
def quota() -> None:
    """Limits of the vault, with the settings of `documents`."""


@quota.command()
@click.argument("payer", type=Payer())
def show(payer: str) -> None:
    """What PAYER uses, and may use."""
    with _usages() as usages:
        usage = usages.of(payer)
    click.echo(f"bytes  {usage.used_bytes} of {usage.limit_bytes}")
    click.echo(f"items  {usage.used_items} of {usage.limit_items}")


@quota.command("set")
@click.argument("payer", type=Payer())
@click.option("--bytes", "max_bytes", type=click.IntRange(min=0), help="Else as the settings say.")
@click.option("--items", "max_items", type=click.IntRange(min=0), help="Else as the settings say.")
def set_limits(payer: str, max_bytes: int | None, max_items: int | None) -> None:
    """Give PAYER limits of their own; without an option, those of the settings again."""
    with _usages() as usages:
        usages.set_limits(payer, max_bytes, max_items)
    click.echo(f"{payer}: the limits are set")


@contextmanager
def _usages() -> Iterator[Usages]:
    db = open_database()
    try:
        with db.transaction() as session:
            yield Usages(session, load(QuotaSettings))
    finally:
        db.engine.dispose()
