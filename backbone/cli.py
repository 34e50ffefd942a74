"""The `backbone` command: what operators and containers run."""

import sys

import click

from backbone.contracts import ContractError
from backbone.lazy_group import LazyGroup
from backbone.settings import ConfigurationError

# Commands in modules of their own, imported when they are called: a service loads none of them.
COMMANDS = {
    "audit": "services.identity.audit_cli",
    "doctor": "backbone.doctor.cli",
    "events": "backbone.events.cli",
    "keyring": "services.identity.keyring_cli",
    "partner": "backbone.partners.cli",
    "quota": "services.documents.quota_cli",
    "realm": "backbone.realm.cli",
    "topics": "backbone.events.topics_cli",
    "verify": "backbone.receipts.cli",
}


@click.group(cls=LazyGroup, commands_of=COMMANDS)
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
    except Exception as error:
        if not _away(error):
            raise
        click.echo(f"backbone: {str(error).splitlines()[0]}", err=True)
        sys.exit(2)


def _away(error: Exception) -> bool:
    """Whether what a command needs does not answer: Kafka or PostgreSQL."""
    # Imported here, as above.
    from kafka.errors import KafkaError
    from sqlalchemy.exc import OperationalError

    return isinstance(error, KafkaError | OperationalError)
