"""``backbone partner``: what operators do about partner administrations."""

import json
import logging
import sys
from dataclasses import asdict, replace
from pathlib import Path

import click

from backbone.partners import configuration
from backbone.partners.access import KafkaAccess
from backbone.partners.administer import Partners, Row
from backbone.partners.check import Check
from backbone.partners.folder import CONFIGURATION, Folder
from backbone.partners.partner import PartnerError
from backbone.partners.registry import KeycloakRegistry
from backbone.partners.settings import KeycloakAdminSettings, PartnersSettings
from backbone.partners.steps import Step
from backbone.printing import print_table
from backbone.settings import KafkaSettings, RealmSettings, load

HEADINGS = ("CLIENT", "ADMINISTRATION", "STATE", "BYTES/S", "LAST GRANT", "TOPICS", "GROUPS")
READABLE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def partner() -> None:
    """Partner administrations: their client, their topics, the proof of both."""


@partner.command()
@click.argument("alias")
@click.option("--administration", required=True, help="Its alias, as documents are shared with.")
@click.option("--topic", "granted", multiple=True, help="A public topic it may read.")
@click.option("--byte-rate", type=click.IntRange(min=1024), help="Bytes/s it may read.")
@click.option("--out", type=click.Path(path_type=Path), default=Path(), help="Default: here.")
def add(
    alias: str, administration: str, granted: tuple[str, ...], byte_rate: int | None, out: Path
) -> None:
    """Register partner-ALIAS, and write the folder that it starts from.

    Run it again to finish what was interrupted, or to let a revoked partner in again.
    """
    settings = load(PartnersSettings)
    folder = Folder(out, load(RealmSettings), settings)
    rate = byte_rate or settings.consumer_byte_rate
    secret = _partners().add(alias, administration, granted, rate, folder)
    client, where = f"partner-{alias}", folder.path
    click.echo(f"{client} acts for {administration}, and may read:")
    for topic in granted or ("nothing yet: `grant` it a topic",):
        click.echo(f"  {topic}")
    click.echo(f"  at {rate} bytes/s from each broker, with groups named {client}.…")
    click.echo(f"secret, shown once: {secret}")
    click.echo(f"hand over {where}/ by a safe way: {CONFIGURATION} holds the secret")
    click.echo(f"prove it: backbone partner check {client} --config {where}/{CONFIGURATION}")


@partner.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_(as_json: bool) -> None:
    """Every partner, what it may read, and the groups that Kafka saw of it."""
    rows = _partners().rows()
    if as_json:
        for row in rows:
            click.echo(json.dumps(asdict(row), ensure_ascii=False))
        return
    print_table([HEADINGS, *(_cells(row) for row in rows)])


@partner.command()
@click.argument("client")
@click.argument("topic")
def grant(client: str, topic: str) -> None:
    """Let the partner CLIENT read the public TOPIC."""
    _partners().grant(client, topic)
    click.echo(f"{client} may read {topic}: it adds it to TOPICS in its partner.env")


@partner.command()
@click.argument("client")
@click.argument("topic", required=False)
def revoke(client: str, topic: str | None) -> None:
    """Take back TOPIC from the partner CLIENT; without TOPIC, everything and its tokens."""
    known = _partners().revoke(client, topic)
    if topic:
        click.echo(f"{client} may no longer read {topic}: refused from its next read on")
        return
    click.echo(f"{client} may read nothing: Kafka refuses it from its next read on")
    click.echo("its feeds end and its webhooks are disabled within seconds")
    if known:
        ends = f"within {known.token_seconds} s" if known.token_seconds else "with its last token"
        click.echo(f"it gets no token any more; its connections and last token end {ends}")


@partner.command()
@click.argument("client")
@click.option("--config", type=READABLE, help="Its partner.env, to be changed in place.")
def rotate(client: str, config: Path | None) -> None:
    """Give the partner CLIENT a new secret; the old one is refused at once."""
    read = configuration.read(config) if config else None
    if read and read.client_id != client:
        raise PartnerError(f"{config} is of {read.client_id}")
    secret = _partners().rotate(client)
    click.echo(f"{client}: the old secret gets no token any more")
    click.echo(f"secret, shown once: {secret}")
    if read and config:
        configuration.write(config, replace(read, client_secret=secret).text())
        click.echo(f"{config} holds it")


@partner.command()
@click.argument("client")
@click.argument("byte_rate", type=click.IntRange(min=1024))
def limit(client: str, byte_rate: int) -> None:
    """Let the partner CLIENT read BYTE_RATE bytes per second at most, from each broker."""
    _partners().limit(client, byte_rate)
    click.echo(f"{client} may read {byte_rate} bytes/s from each broker")


@partner.command()
@click.argument("client")
@click.option("--config", type=READABLE, required=True, help="Its partner.env.")
def check(client: str, config: Path) -> None:
    """Prove the access of the partner CLIENT with its own credentials; exits 1 where it fails."""
    # A refusal is what is looked for: kafka-python's warnings of it would be noise.
    logging.getLogger("kafka").setLevel(logging.CRITICAL)
    failed = False
    for step in Check(client, config).steps():
        click.echo(_line(step))
        failed = failed or step.passed is not True
    sys.exit(1 if failed else 0)


def _partners() -> Partners:
    registry = KeycloakRegistry(load(RealmSettings), load(KeycloakAdminSettings))
    return Partners(registry, KafkaAccess(load(KafkaSettings)))


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.client,
        row.administration or "-",
        row.state,
        str(row.consumer_byte_rate or "-"),
        row.last_grant or "-",
        ", ".join(row.topics) or "-",
        ", ".join(row.groups) or "-",
    )


def _line(step: Step) -> str:
    mark = {True: "✓", False: "✗", None: "-"}[step.passed]
    told = f"{mark} {step.name}" + (f": {step.detail}" if step.detail else "")
    return f"{told}\n    mend: {step.mend}" if step.mend else told
