"""``backbone doctor events``: Kafka as the contracts want it."""

import sys
from collections.abc import Callable

import click

from backbone.doctor.checks import Check, Missing, examine, tell
from backbone.events.plan import Action, Change, Plan, PlanError
from backbone.settings import KafkaSettings, load


def _lacks(*actions: Action) -> Callable[[Plan], str]:
    def run(plan: Plan) -> str:
        found = [change for change in plan.changes if change.action in actions]
        if found:
            raise Missing("; ".join(_words(change) for change in found))
        return "as the contracts say"

    return run


def _words(change: Change) -> str:
    return f"{change.subject}: {change.setting} is {change.now or 'missing'}, not {change.wanted}"


MEND = "backbone topics apply"
CHECKS = (
    Check("topics", _lacks(Action.CREATE, Action.PARTITIONS), MEND, "events of these topics"),
    Check("retention", _lacks(Action.CONFIGURE), MEND, "replay, copies of what is acknowledged"),
    Check("rules", _lacks(Action.ALLOW), MEND, "partners who were granted these topics"),
    Check("left alone", _lacks(Action.TELL), "see backbone topics plan"),
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def events(as_json: bool) -> None:
    """Try Kafka: that it answers this user, and has the topics and rules of the contracts."""
    plans: list[Plan] = []

    def answers(settings: KafkaSettings) -> str:
        plans.append(Plan(settings))
        return f"{settings.bootstrap} answers as {settings.username}"

    reached = Check(
        "broker",
        answers,
        "start Kafka, or mend BACKBONE_KAFKA_BOOTSTRAP, _USERNAME and _PASSWORD",
        "every event; a service that starts",
    )
    well = tell(examine((reached,), load(KafkaSettings), (PlanError,)), as_json)
    if not (well and tell(examine(CHECKS, plans[0], (PlanError,)), as_json)):
        sys.exit(1)
