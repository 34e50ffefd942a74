"""`backbone events`: what an operator sees and does about the events of notifications."""

import json
import os
import re
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.kafka import header, internal_options, tap
from tests.support.polling import eventually
from tests.support.processes import BACKBONE, backbone
from tests.support.tables import Tables
from tests.support.told import TOPIC, Log

MINE = ("--consumer", "notifications")
READ = r"(?P<read>\d+) events read, (?P<found>\d+) to apply\n"


class Operator:
    """`backbone events` with the environment of the stack's notifications."""

    def __init__(self, stack: dict[str, Any]) -> None:
        self._environment: dict[str, str] = stack["services"]["notifications"]["environment"]

    def runs(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return backbone(self._environment | changes, "events", *arguments)

    def says(self, *arguments: str) -> str:
        done = self.runs(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def lines(self, *arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.says(*arguments, "--json").splitlines()]

    def of(self, log: Log, command: str) -> list[dict[str, Any]]:
        """Lines of a command about one key."""
        return [line for line in self.lines(command, *MINE) if line["key"] == log.key]

    @contextmanager
    def following(self, output: Path, *arguments: str) -> Iterator[None]:
        """A command that goes on while the block runs, and what it says in a file."""
        with (
            output.open("w") as said,
            subprocess.Popen(
                (BACKBONE, "events", *arguments),
                env=os.environ | self._environment,
                stdout=said,
            ) as process,
        ):
            try:
                yield
            finally:
                process.terminate()
                process.wait(60)


@pytest.fixture
def operator(stack: dict[str, Any]) -> Operator:
    return Operator(stack)


def moment() -> str:
    """A little before now, as the commands take it."""
    return (datetime.now(UTC) - timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%S")


def test_what_is_parked_is_listed_and_given_up_and_tried_again(
    operator: Operator, log: Log
) -> None:
    # The handler cannot make an account of this owner, however often it tries.
    log.put(*log.deposited(owner="nobody"))
    log.put(*log.shared())
    failed, behind = eventually(lambda: len(found := operator.of(log, "parked")) == 2 and found)
    assert (failed["topic"], failed["type"].rpartition(".")[2]) == (TOPIC, "DocumentDeposited")
    assert "ValueError" in failed["cause"]
    assert behind["cause"] == "waits behind another of its key"
    head, *rows = operator.says("parked", *MINE).splitlines()
    assert head.split()[:3] == ["topic", "key", "type"]
    assert sum(log.key in row for row in rows) == 2

    assert "skipped" in operator.says("skip", *MINE, "--key", log.key)
    eventually(lambda: log.entries() == ["DocumentShared"])
    (letter,) = operator.of(log, "dead")
    assert letter["cause"].startswith("skipped by an operator; ValueError")
    assert operator.of(log, "parked") == []

    assert operator.says("retry", *MINE, "--key", log.key) == "1 events are due now\n"
    assert operator.of(log, "dead") == []
    eventually(lambda: any(line["attempts"] for line in operator.of(log, "parked")))
    assert log.entries() == ["DocumentShared"]


def test_a_replay_applies_what_never_was_and_nothing_twice(
    operator: Operator, log: Log, database: Tables
) -> None:
    since = moment()
    headers, value = log.deposited()
    event_id = next(value.decode() for name, value in headers if name == "ce_id" and value)
    log.put(headers, value)
    log.put(*log.shared())
    eventually(lambda: log.entries() == ["DocumentDeposited", "DocumentShared"])
    replay = ("replay", *MINE, "--from", since)
    # Other events may be on their way just now: what is said of all is said of this key alone.
    assert re.fullmatch(READ, operator.says(*replay))
    assert log.parked() == []

    # As a service leaves it whose database was set back to before the first of them.
    database.rows("DELETE FROM notifications.entries WHERE account_id = %s", log.owner)
    database.rows("DELETE FROM notifications.inbox WHERE event_id = %s", event_id)
    told = re.fullmatch(READ, operator.says(*replay))
    assert told is not None
    assert int(told["read"]) >= 2
    assert int(told["found"]) >= 1
    eventually(lambda: log.entries() == ["DocumentDeposited"])
    operator.says(*replay)
    log.put(*log.shared())
    eventually(lambda: len(log.entries()) > 1)
    assert log.entries() == ["DocumentDeposited", "DocumentShared"]
    assert log.parked() == []


def test_what_waits_parked_is_not_parked_again_by_a_replay(operator: Operator, log: Log) -> None:
    since = moment()
    log.put(*log.deposited(owner="nobody"))
    (before,) = eventually(log.parked)
    operator.says("replay", *MINE, "--from", since)
    (after,) = log.parked()
    assert after["position"] == before["position"]


def test_how_far_a_consumer_is_behind_is_told_by_partition(operator: Operator, log: Log) -> None:
    partition = log.put(*log.deposited())
    eventually(log.entries)

    def caught_up() -> bool:
        (line,) = [
            line
            for line in operator.lines("lag", *MINE)
            if (line["topic"], line["partition"]) == (TOPIC, partition)
        ]
        assert line["lag"] == line["end"] - line["committed"]
        return bool(line["end"] > 0 and line["lag"] == 0)

    eventually(caught_up)


def test_events_are_shown_from_a_moment_on_and_as_they_pass(
    operator: Operator, log: Log, stack: dict[str, Any], tmp_path: Path
) -> None:
    since = moment()
    with tap(internal_options(stack), TOPIC) as topic:
        log.put(*log.deposited())
        (record,) = topic.until(lambda record: record.key == log.key.encode())
    shown = operator.lines("tail", "--topic", TOPIC, "--from", since, "--no-follow")
    (line,) = [line for line in shown if line.get("id") == header(record, "ce_id")]
    assert line["type"].endswith(".DocumentDeposited")
    assert line["place"] == f"{record.partition}@{record.offset}"
    assert json.loads(line["data"])["documentId"] == log.key

    output = tmp_path / "tail"
    with operator.following(output, "tail", "--topic", TOPIC, "--from", since):
        log.put(*log.shared())

        def shown_as_it_passes() -> bool:
            lines = output.read_text().splitlines()
            return any("DocumentShared" in line and log.key in line for line in lines)

        eventually(shown_as_it_passes)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("parked", "--consumer", "nobody"), "nobody"),
        (("lag", "--consumer", "gateway"), "gateway"),
        (("skip", *MINE, "--key", "nothing-of-this"), "nothing of the key nothing-of-this"),
        (("retry", *MINE), "either --key KEY or --all"),
        (("replay", *MINE, "--from", "yesterday"), "yesterday"),
        (("tail", "--topic", "administration.nothing.v1.There", "--no-follow"), "There"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    operator: Operator, arguments: tuple[str, ...], words: str
) -> None:
    done = operator.runs(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("command", "changes"),
    [
        ("lag", {"BACKBONE_KAFKA_BOOTSTRAP": "127.0.0.1:9"}),
        ("parked", {"BACKBONE_DATABASE_URL": "postgresql+psycopg://a:b@127.0.0.1:9/none"}),
    ],
)
def test_what_is_away_is_told_in_a_line(
    operator: Operator, command: str, changes: dict[str, str]
) -> None:
    done = operator.runs(command, *MINE, **changes)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("backbone: ")


def test_a_key_that_no_event_has_is_nothing_to_retry(operator: Operator) -> None:
    key = str(uuid.uuid4())
    assert operator.says("retry", *MINE, "--key", key) == "0 events are due now\n"
