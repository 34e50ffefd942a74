"""Checks of a dependency: each tries one thing, and its finding says what came of it."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Generic, TypeVar

import click

from backbone.errors import DomainError

Subject = TypeVar("Subject")


class Verdict(StrEnum):
    OK = "ok"
    WARNING = "warning"  # nothing of ours depends on it, but somebody should know
    FAULT = "fault"  # something of ours depends on it
    UNKNOWN = "unknown"  # it cannot be known from here


class Missing(Exception):
    """What was tried does not work; the message says what happened instead."""


class Unknown(Exception):
    """What was tried shows nothing; the message says why."""


@dataclass(frozen=True, slots=True)
class Check(Generic[Subject]):
    """One thing to try. `run` says what it found, or raises `Missing` or `Unknown`.

    `needed_by` names what depends on it: without, what is missing is a warning.
    """

    name: str
    run: Callable[[Subject], str]
    mend: str
    needed_by: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a check; `mend` and `needed_by` are empty where all is well."""

    check: str
    verdict: Verdict
    found: str
    needed_by: str = ""
    mend: str = ""


def examine(
    checks: Sequence[Check[Subject]],
    subject: Subject,
    failures: tuple[type[Exception], ...] = (),
    words: Callable[[Exception], str] = str,
) -> Iterator[Finding]:
    """The finding of each check in turn; of the first alone when it does not work.

    `failures` is what the client of the dependency raises, and `words` how that is told: such a
    check is one that does not work.
    """
    first, *rest = checks
    yield (finding := _tried(first, subject, failures, words))
    if finding.verdict is Verdict.OK:
        for check in rest:
            yield _tried(check, subject, failures, words)


def _tried(
    check: Check[Subject],
    subject: Subject,
    failures: tuple[type[Exception], ...],
    words: Callable[[Exception], str],
) -> Finding:
    faults: tuple[type[Exception], ...] = (Missing, DomainError, *failures)
    try:
        return Finding(check.name, Verdict.OK, check.run(subject))
    except Unknown as error:
        return Finding(check.name, Verdict.UNKNOWN, str(error), check.needed_by, check.mend)
    except faults as error:
        verdict = Verdict.FAULT if check.needed_by else Verdict.WARNING
        found = words(error) if isinstance(error, failures) else str(error)
        return Finding(check.name, verdict, found, check.needed_by, check.mend)


def tell(findings: Iterable[Finding], as_json: bool) -> None:
    """Prints the findings as they come; exits with 1 when something that is needed is missing."""
    well = True
    for finding in findings:
        well = well and finding.verdict is not Verdict.FAULT
        if as_json:
            click.echo(json.dumps(asdict(finding), ensure_ascii=False))
            continue
        click.echo(f"{finding.verdict:8} {finding.check:24} {finding.found}")
        if finding.needed_by:
            click.echo(f"{'':33} needed by: {finding.needed_by}")
        if finding.mend:
            click.echo(f"{'':33} → {finding.mend}")
    if not well:
        sys.exit(1)
