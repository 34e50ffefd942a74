"""``backbone topics``: Kafka's topics, as the contracts derive them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from backbone.contracts import ContractError
from backbone.events import topics as topics_
from backbone.events.cli import as_json, show
from backbone.events.plan import DAY_MS, Plan, PlanError
from backbone.settings import ConfigurationError, KafkaSettings, load

SOMETHING_TO_DO = 2


@click.group()
def topics() -> None:
    """Kafka's topics and their rules, as the contracts derive them."""


@topics.command()
@as_json
def plan(as_json: bool) -> None:
    """Say what `apply` would change: exits with 0 for nothing, with 2 for something."""
    with _telling():
        made = Plan(load(KafkaSettings))
    _tell(made, as_json)
    sys.exit(SOMETHING_TO_DO if made.needed else 0)


@topics.command()
@as_json
def apply(as_json: bool) -> None:
    """Say what there is to change, and do it. Done twice, it changes nothing."""
    with _telling():
        made = Plan(load(KafkaSettings))
        _tell(made, as_json)
        if made.needed:
            made.do()
            click.echo("topics: done", err=as_json)


@topics.command()
@click.argument("client_id")
@click.argument("topic")
def grant(client_id: str, topic: str) -> None:
    """Let the partner CLIENT_ID read the public TOPIC."""
    topics_.grant(load(KafkaSettings), client_id, topic)
    click.echo(f"{client_id} may read {topic}, with groups named {client_id}.…")


def _tell(made: Plan, as_json: bool) -> None:
    lines = [change.line() for change in made.changes]
    if as_json:
        show(lines, as_json)
    elif lines:
        show([{**_readable(line), "note": line["note"] and "see below"} for line in lines], False)
        for line in lines:
            if line["note"]:
                click.echo(f"  {line['subject']}, {line['setting']}: {line['note']}")
    if not made.needed:
        click.echo(f"topics: nothing to do, {len(topics_.all_topics())} in all", err=as_json)


def _readable(line: dict[str, str]) -> dict[str, str]:
    """Milliseconds with their days beside them."""
    if line["setting"] != "retention.ms":
        return line
    days = {name: f"{int(line[name]) / DAY_MS:g}" for name in ("now", "wanted") if line[name]}
    return line | {name: f"{line[name]} ({count} days)" for name, count in days.items()}


@contextmanager
def _telling() -> Iterator[None]:
    """What cannot be done exits with 1: 2 means that there is something to do."""
    try:
        yield
    except (ConfigurationError, ContractError, PlanError) as error:
        click.echo(f"backbone: {error}", err=True)
        sys.exit(1)
