"""``backbone doctor events``: Kafka as the contracts want it."""

from collections.abc import Callable
from functools import cached_property

import click

from backbone.doctor.checks import Check, Missing, examine, tell
from backbone.events.plan import Action, Change, Plan, PlanError
from backbone.settings import KafkaSettings, load


class Asked:
    """A broker, which is asked once for everything."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings

    @cached_property
    def plan(self) -> Plan:
        return Plan(self.settings)


def answers(asked: Asked) -> str:
    count = len(asked.plan.changes)
    told = f"{asked.settings.bootstrap} answers {asked.settings.username}"
    return f"{told}; it differs from the contracts in {count} points" if count else told


def _lacks(*actions: Action) -> Callable[[Asked], str]:
    def run(asked: Asked) -> str:
        found = [change for change in asked.plan.changes if change.action in actions]
        if found:
            raise Missing("; ".join(_words(change) for change in found))
        return "as the contracts say"

    return run


def _words(change: Change) -> str:
    return f"{change.subject}: {change.setting} is {change.now or 'missing'}, not {change.wanted}"


MEND = "backbone topics apply"
CHECKS = (
    Check(
        "broker",
        answers,
        "start Kafka, or mend BACKBONE_KAFKA_BOOTSTRAP, _USERNAME and _PASSWORD",
        "every event; a service that starts",
    ),
    Check("topics", _lacks(Action.CREATE, Action.PARTITIONS), MEND, "events of these topics"),
    Check("retention", _lacks(Action.CONFIGURE), MEND, "replay, copies of what is acknowledged"),
    Check("rules", _lacks(Action.ALLOW), MEND, "partners who were granted these topics"),
    Check("left alone", _lacks(Action.TELL), "see backbone topics plan"),
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def events(as_json: bool) -> None:
    """Try Kafka: that it answers this user, and has the topics and rules of the contracts."""
    tell(examine(CHECKS, Asked(load(KafkaSettings)), (PlanError,)), as_json)
