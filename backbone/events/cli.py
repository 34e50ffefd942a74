"""``backbone events``: what operators do about events.

Commands about one consumer need the environment of its service (``BACKBONE_DATABASE_URL``).
"""

import json
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import click

from backbone.database import open_database
from backbone.events import topics
from backbone.events.desk import Desk
from backbone.events.desk import tail as tail_
from backbone.printing import print_table
from backbone.settings import EventSettings, KafkaSettings, load

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
of_consumer = click.option("--consumer", required=True, help="The service that consumes.")
WIDEST = 60


@click.group()
def events() -> None:
    """Look at events; retry, skip and replay those of a consumer."""


@events.command()
@click.option("--topic", "wanted", multiple=True, help="Default: every topic of the contracts.")
@click.option("--from", "since", type=click.DateTime(), help="UTC; default: now.")
@click.option("--follow/--no-follow", default=True, show_default=True)
@as_json
def tail(wanted: tuple[str, ...], since: datetime | None, follow: bool, as_json: bool) -> None:
    """Show events as they pass."""
    names = set(wanted) or set(topics.all_topics())
    for line in tail_(load(KafkaSettings), names, _utc(since), follow):
        if as_json:
            click.echo(json.dumps(line))
        else:
            short = line.get("type", "?").rpartition(".")[2]
            click.echo(f"{line.get('time', '?')}  {short:<20} {line['place']:>8}  {line['data']}")


@events.command()
@of_consumer
@as_json
def parked(consumer: str, as_json: bool) -> None:
    """Events that wait for another try, by key."""
    show(_desk(consumer).parked(), as_json)


@events.command()
@of_consumer
@as_json
def dead(consumer: str, as_json: bool) -> None:
    """Events that were given up, with their cause."""
    show(_desk(consumer).dead(), as_json)


@events.command()
@of_consumer
@as_json
def lag(consumer: str, as_json: bool) -> None:
    """How far the consumer is behind, by partition."""
    show(_desk(consumer).lag(), as_json)


@events.command()
@of_consumer
@click.option("--key", help="Of one entity.")
@click.option("--all", "everything", is_flag=True, help="Of every entity.")
def retry(consumer: str, key: str | None, everything: bool) -> None:
    """Try parked events and dead letters again, now."""
    if (key is None) == (not everything):
        raise click.UsageError("say either --key KEY or --all")
    click.echo(f"{_desk(consumer).retry(key)} events are due now")


@events.command()
@of_consumer
@click.option("--key", required=True, help="Of one entity.")
def skip(consumer: str, key: str) -> None:
    """Give up the parked head of a key, so that the next one is tried."""
    if not _desk(consumer).skip(key):
        raise LookupError(f"nothing of the key {key} is parked in {consumer}")
    click.echo("skipped; it is among the dead letters")


@events.command()
@of_consumer
@click.option("--from", "since", type=click.DateTime(), required=True, help="UTC.")
def replay(consumer: str, since: datetime) -> None:
    """Apply every event since a moment that was never applied; the others are left alone."""
    moment = _utc(since)
    assert moment is not None
    read = found = 0
    for read, total, found in _desk(consumer).replay(moment):
        if sys.stderr.isatty():
            click.echo(f"\r{read} of {total} read, {found} to apply", nl=False, err=True)
    click.echo(f"{read} events read, {found} to apply")


def _desk(consumer: str) -> Desk:
    return Desk(consumer, open_database(), load(EventSettings), load(KafkaSettings))


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None else None


def show(lines: Iterable[dict[str, Any]], as_json: bool) -> None:
    """A table, or JSON lines."""
    rows = list(lines)
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
        return
    if not rows:
        click.echo("none")
        return
    names = list(rows[0])
    print_table([names, *([str(row[name])[:WIDEST] for name in names] for row in rows)])
