"""The `backbone` command: what operators and containers run."""

import importlib
import sys

import click

from backbone.contracts import ContractError
from backbone.settings import ConfigurationError, KafkaSettings, load

# Groups in modules of their own, imported when they are called: a service loads none of them.
GROUPS = {
    "events": "backbone.events.cli",
    "partner": "backbone.partners.cli",
    "realm": "backbone.realm.cli",
}


class LazyGroup(click.Group):
    """A group that knows the names of `GROUPS` without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *GROUPS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in GROUPS:
            return super().get_command(ctx, cmd_name)
        group: click.Group = getattr(importlib.import_module(GROUPS[cmd_name]), cmd_name)
        return group


@click.group(cls=LazyGroup)
@click.version_option(package_name="administration-backbone")
def cli() -> None:
    """The backbone of a smart administration."""


@cli.command()
@click.argument("name")
def serve(name: str) -> None:
    """Serve the service NAME until SIGTERM."""
    # Imported here: the other commands need neither grpc nor nameko.
    from backbone import runner

    sys.exit(runner.run(runner.service_class(name)))


@cli.command()
@click.argument("name")
def migrate(name: str) -> None:
    """Bring the schema of the service NAME to its newest version."""
    from backbone import migrations

    migrations.upgrade(name)
    click.echo(f"{name}: the schema is up to date")


@cli.group()
def topics() -> None:
    """Kafka's topics, as the contracts derive them."""


@topics.command()
def apply() -> None:
    """Create the topics that are missing."""
    from backbone.events import topics as topics_

    count = 0
    for name in topics_.apply(load(KafkaSettings)):
        click.echo(f"created {name}")
        count += 1
    click.echo(f"topics: {count} created, {len(topics_.all_topics())} in all")


@topics.command()
@click.argument("client_id")
@click.argument("topic")
def grant(client_id: str, topic: str) -> None:
    """Let the partner CLIENT_ID read the public TOPIC."""
    from backbone.events import topics as topics_

    topics_.grant(load(KafkaSettings), client_id, topic)
    click.echo(f"{client_id} may read {topic}, with groups named {client_id}.…")


def main() -> None:
    """Entry point: errors that the operator can mend are one line, without a traceback."""
    try:
        cli()
    except (ConfigurationError, ContractError, LookupError, ValueError) as error:
        click.echo(f"backbone: {error}", err=True)
        sys.exit(2)
