"""``backbone keyring``: what operators do about keys, with the environment of identity."""

import sys
import time
from collections.abc import Iterator

import click
from sqlalchemy import func, select

from backbone.database import Transactions, open_database
from backbone.errors import Gone
from backbone.events import Publisher
from backbone.events.relay import Relay
from backbone.printing import print_table
from backbone.settings import EventSettings, KafkaSettings, load
from services.identity.keeping import Keeping
from services.identity.keyring import Keyring, KeyringRow, masters_in_use
from services.identity.masters import KeyringSettings, MasterMissing, Masters

BATCH = 500
# Before another process that is wrapping keys again is looked at once more.
PAUSE_SECONDS = 0.2


@click.group()
def keyring() -> None:
    """Master keys and owners' keys: look at them, rotate, destroy."""


@keyring.command()
def status() -> None:
    """Which master key wraps how many keys, and how many owners there are."""
    masters = load(KeyringSettings).masters()
    with open_database().transaction() as session:
        used = masters_in_use(session)
        owners = session.scalar(select(func.count()).select_from(KeyringRow))
        destroyed = session.scalar(select(func.count(KeyringRow.destroy_time)))
    names = [*masters.names, *sorted(used.keys() - set(masters.names))]
    rows = [(name, str(used.get(name, 0)), _state(name, masters)) for name in names]
    print_table([("MASTER KEY", "KEYS", "STATE"), *rows])
    click.echo(f"{owners} owners, {destroyed} of them with their keys destroyed")


@keyring.command()
def rotate() -> None:
    """Wrap every key by the newest master key. Stopped half way, run it again."""
    db, masters, done = open_database(), load(KeyringSettings).masters(), 0
    while earlier := _earlier(db, masters):
        before = done
        for master, count in earlier.items():
            for wrapped in _rewrapped(db, masters, master):
                done += wrapped
                if sys.stderr.isatty():
                    told = f"\r{done} keys wrapped, {count} by {master} when it began "
                    click.echo(told, nl=False, err=True)
        if done == before:
            time.sleep(PAUSE_SECONDS)
    click.echo(f"{done} keys wrapped; every key is wrapped by {masters.newest}")


@keyring.command()
@click.argument("owner_id", type=click.UUID)
def renew(owner_id: str) -> None:
    """Give OWNER_ID a newer key: services wrap by it what they keep, in the background."""
    try:
        click.echo(f"{owner_id} has the key {_keeping().renew(str(owner_id))}")
    except Gone as error:
        raise LookupError(error.detail) from None


@keyring.command()
@click.argument("owner_id", type=click.UUID)
@click.confirmation_option(prompt="What these keys protect can never be read again. Destroy them?")
def destroy(owner_id: str) -> None:
    """Destroy the keys of OWNER_ID, for good."""
    destroyed = _keeping().destroy(str(owner_id))
    click.echo("destroyed" if destroyed else "they were destroyed before")


def _state(name: str, masters: Masters) -> str:
    if name == masters.newest:
        return "wraps"
    return "unwraps" if name in masters.names else "NOT CONFIGURED: its keys cannot be unwrapped"


def _earlier(db: Transactions, masters: Masters) -> dict[str, int]:
    """The master keys but the newest, with how many keys they wrap."""
    with db.transaction() as session:
        used = masters_in_use(session)
    return {master: count for master, count in used.items() if master != masters.newest}


def _rewrapped(db: Transactions, masters: Masters, master: str) -> Iterator[int]:
    """Wraps again what a master key wrapped; how many keys, batch by batch."""
    try:
        while True:
            with db.transaction() as session:
                count = Keyring(session, masters).rewrap(master, BATCH)
            if not count:
                return
            yield count
    except MasterMissing as error:
        raise LookupError(f"{error}: add it behind the others, then run this again") from None


def _keeping() -> Keeping:
    db, settings = open_database(), load(EventSettings)
    # The service's own relay sends what is published here: this one is not run.
    relay = Relay(db.engine, load(KafkaSettings))
    schemas = f"{settings.public_url.rstrip('/')}/schemas"
    publisher = Publisher("/services/identity", schemas, relay)
    return Keeping(db, publisher, load(KeyringSettings).masters())
