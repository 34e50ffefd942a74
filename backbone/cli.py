"""The `backbone` command: what operators and containers run."""

import importlib
import sys

import click

from backbone.contracts import ContractError
from backbone.settings import ConfigurationError

# Commands in modules of their own, imported when they are called: a service loads none of them.
COMMANDS = {
    "audit": "services.identity.audit_cli",
    "events": "backbone.events.cli",
    "keyring": "services.identity.keyring_cli",
    "partner": "backbone.partners.cli",
    "quota": "services.documents.quota_cli",
    "realm": "backbone.realm.cli",
    "topics": "backbone.events.topics_cli",
    "verify": "backbone.receipts.cli",
}


class LazyGroup(click.Group):
    """A group that knows the names of `COMMANDS` without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *COMMANDS])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(importlib.import_module(COMMANDS[cmd_name]), cmd_name)
        return command


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


def main() -> None:
    """Entry point: errors that the operator can mend are one line, without a traceback."""
    try:
        cli()
    except (ConfigurationError, ContractError, LookupError, ValueError) as error:
        click.echo(f"backbone: {error}", err=True)
        sys.exit(2)
