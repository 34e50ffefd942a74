"""Guards the contracts: ``python -m deploy.breaking [--against REF] [--kafka] [--accept]``.

Compares `protos/` with the contracts of the last release, which are kept beside this file as an
image (`buf build`): a shallow clone without a network can be checked. What `buf breaking` cannot
see, an event that leaves its topic or changes its key, is compared here. Each break of an event
names the topics that carry it and, with `--kafka`, the partners that may read them: over HTTP
(feeds, webhooks) as well, since exchange has no grants but Kafka's ACLs.
"""

import contextlib
import io
import itertools
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
from administration.options.v1 import options_pb2
from google.protobuf.descriptor import Descriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from kafka import admin as kafka_admin
from kafka.errors import KafkaError

import deploy.local
from backbone import contracts
from backbone.events import topics
from backbone.settings import ConfigurationError, KafkaSettings, load
from deploy.local.paths import ROOT

BASELINE = Path("deploy/contracts/baseline.binpb")
BOOTSTRAP_SECONDS = 10
_BUF = Path(sys.executable).parent / "buf"
# Of an event alone, wherever in its package it is written; options are compared here.
_OF_EVENTS = {
    "version": "v1",
    "breaking": {"use": ["PACKAGE"], "ignore": ["administration/options"]},
}
_BROKEN = 100
_FOLDER = click.Path(path_type=Path, resolve_path=True)


class BreakingError(click.ClickException):
    """What is wrong, in words that are ready to print."""


@dataclass(frozen=True, order=True)
class Break:
    """An event that its subscribers do not get as they did."""

    topic: str
    event: str
    cause: str


def image(root: Path, target: Path) -> Path:
    """The contracts of a working copy, as buf's image, without comments.

    Raises:
        BreakingError: they do not compile.
    """
    _buf("build", "protos", "--exclude-source-info", f"--output={target}", cwd=root)
    return target


def image_of(root: Path, ref: str, folder: Path) -> Path:
    """The contracts of a commit, branch or tag, as an image in `folder`.

    Raises:
        BreakingError: git does not know it (a shallow clone has no history), or it has none.
    """
    command = ["git", "archive", "--format=tar", ref, "protos", "buf.yaml"]
    done = subprocess.run(command, cwd=root, capture_output=True, check=False)
    if done.returncode:
        raise BreakingError(f"{ref}: {done.stderr.decode(errors='replace').strip()}")
    copy = folder / "copy"
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(copy, filter="data")
    # Contracts of others, which are generated and not committed.
    shutil.copytree(root / "gen" / "include", copy / "gen" / "include")
    return image(copy, folder / "against.binpb")


def violations(root: Path, baseline: Path) -> list[str]:
    """What buf finds, one line each, with the place in `protos/`.

    Raises:
        BreakingError: the baseline is missing, or no image.
    """
    if not baseline.exists():
        raise BreakingError(
            f"{baseline} is missing\n  → at a release: python -m deploy.breaking --accept"
        )
    options = (f"--against={baseline}", "--exclude-imports", "--error-format=json")
    return [
        "{path}:{start_line}: {message} ({type})".format_map(
            {"path": "protos", "start_line": 1, **json.loads(line)}
        )
        for line in _buf("breaking", "protos", *options, cwd=root).splitlines()
    ]


def events(of: Path) -> dict[str, Descriptor]:
    """The events of an image, by type."""
    pool, names = DescriptorPool(), []
    for file in FileDescriptorSet.FromString(of.read_bytes()).file:
        pool.Add(file)
        names += [f"{file.package}.{message.name}" for message in file.message_type]
    found = [pool.FindMessageTypeByName(name) for name in names]
    return {
        item.full_name: item for item in found if item.GetOptions().HasExtension(options_pb2.event)
    }


def breaks(old: Path, new: Path, *, data: bool) -> Iterator[Break]:
    """The events of image `old` that image `new` breaks, once for each of their topics.

    `data` says that buf has found something, which may be in what an event is made of.
    """
    now = events(new)
    for name, before in events(old).items():
        after = now.get(name)
        kept = topics.topics_of(after) if after is not None else []
        same = after is None or not data or _same_data(name, old, new)
        for topic in topics.topics_of(before):
            if after is None:
                yield Break(topic, name, "is no longer an event")
            elif topic not in kept:
                yield Break(topic, name, f"goes to {', '.join(kept)} only")
            elif (key := contracts.event(after).key_field) != contracts.event(before).key_field:
                yield Break(topic, name, f"has another key: {key}")
            elif not same:
                yield Break(topic, name, "has data that cannot be read as before")


def subscribers(settings: KafkaSettings, topic: str) -> list[str]:
    """Who Kafka's ACLs let read `topic`; users that no ACL names (super users) are not told.

    Raises:
        BreakingError: Kafka does not answer, or refuses.
    """
    topics_named = kafka_admin.ResourcePatternFilter(
        kafka_admin.ResourceType.TOPIC, topic, kafka_admin.ACLResourcePatternType.MATCH
    )
    operation, allow = kafka_admin.ACLOperation, kafka_admin.ACLPermissionType.ALLOW
    options = topics.client_options(settings) | {"bootstrap_timeout_ms": BOOTSTRAP_SECONDS * 1000}
    try:
        with contextlib.closing(kafka_admin.KafkaAdminClient(**options)) as admin:
            acls, _ = admin.describe_acls(
                kafka_admin.ACLFilter(None, None, operation.ANY, allow, topics_named)
            )
    except KafkaError as error:
        raise BreakingError(f"Kafka does not tell its ACLs ({error})") from None
    reading = {operation.READ, operation.ALL}
    return sorted({acl.principal.removeprefix("User:") for acl in acls if acl.operation in reading})


def kafka_settings() -> KafkaSettings:
    """Kafka as the environment says, or that of the local stack.

    Raises:
        BreakingError: neither is there.
    """
    try:
        if "BACKBONE_KAFKA_BOOTSTRAP" in os.environ:
            return load(KafkaSettings)
        return deploy.local.kafka_settings(deploy.local.load())
    except (ConfigurationError, deploy.local.StackError) as error:
        raise BreakingError(f"--kafka needs BACKBONE_KAFKA_… or the local stack: {error}") from None


def _same_data(name: str, old: Path, new: Path) -> bool:
    """Whether buf finds nothing in what the event is made of, nested types included."""
    with tempfile.TemporaryDirectory() as folder:
        for source, target in ((old, "old.binpb"), (new, "new.binpb")):
            _buf("build", str(source), f"--type={name}", f"--output={target}", cwd=Path(folder))
        config = f"--config={json.dumps(_OF_EVENTS)}"
        return not _buf("breaking", "new.binpb", "--against=old.binpb", config, cwd=Path(folder))


def _buf(*arguments: str, cwd: Path) -> str:
    done = subprocess.run([_BUF, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode not in (0, _BROKEN) or (done.returncode and not done.stdout):
        raise BreakingError(f"buf {arguments[0]}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def report(found: Sequence[str], broken: Sequence[Break], kafka: bool) -> Iterator[str]:
    """What breaks, then for each topic its events and its readers."""
    yield from found
    for topic, group in itertools.groupby(sorted(broken), key=lambda item: item.topic):
        yield f"\n{topic}"
        yield from (f"  {item.event} {item.cause}" for item in group)
        if not topic.startswith(topics.PUBLIC):
            yield "  read by: the services of the backbone"
        elif not kafka:
            yield "  read by: not looked up (--kafka asks Kafka's ACLs)"
        else:
            names = subscribers(kafka_settings(), topic)
            yield f"  read by: {', '.join(names) or 'nobody that the ACLs name'}"


@click.command(help="Compare the contracts with those of the last release.")
@click.option("--against", metavar="REF", help="A commit, branch or tag instead of the release.")
@click.option("--kafka", is_flag=True, help="Ask Kafka who may read the topics that break.")
@click.option("--accept", is_flag=True, help="At a release: these contracts are the baseline now.")
@click.option("--root", hidden=True, type=_FOLDER, default=ROOT)
def main(against: str | None, kafka: bool, accept: bool, root: Path) -> None:
    """Exits with 1 when something breaks and is not accepted."""
    if against and accept:
        raise click.UsageError("--accept is for the baseline: not with --against")
    baseline = root / BASELINE
    with tempfile.TemporaryDirectory() as name:
        new = image(root, Path(name) / "new.binpb")
        old = image_of(root, against, Path(name)) if against else baseline
        if accept and not old.exists():
            old = new
        found = violations(root, old)
        try:
            broken = list(breaks(old, new, data=bool(found)))
        except contracts.ContractError as error:
            raise BreakingError(str(error)) from None
        for line in report(found, broken, kafka):
            click.echo(line)
        if accept:
            baseline.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(new, baseline)
    since = against or BASELINE.as_posix()
    if accept:
        click.echo(f"contracts: {BASELINE} is what they are now; commit it")
    elif found or broken:
        raise BreakingError(
            f"the contracts break what is in {since}\n"
            "  → keep what is there and add beside it; what has to differ is a new version (v2)"
        )
    else:
        click.echo(f"contracts: nothing breaks since {since}")


if __name__ == "__main__":
    main()
