"""What a component of the local stack is. The table of them all is `components.py`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from deploy.local.install import Program

# None when healthy, otherwise what is still missing, in a few words. It returns within seconds, and
# never raises because the component is not there yet.
Probe = Callable[[], str | None]
Step = Callable[[], None]


def nothing() -> None:
    """The step that a component without one has."""


def always_healthy() -> str | None:
    """The probe of a component that is done when its `prepare` has run."""
    return None


@dataclass(frozen=True)
class Component:
    """One thing that `up` brings to health, in this order: install, `prepare`, `command`,
    `healthy`, `provision`.
    """

    name: str
    after: tuple[str, ...] = ()  # healthy and provisioned before this one is prepared
    program: Program | None = None
    prepare: Step = nothing  # before every start: configuration, an empty data folder
    command: tuple[
        str, ...
    ] = ()  # kept running by the supervisor; empty for a step that is done once
    environment: Mapping[str, str] = field(default_factory=dict)
    healthy: Probe = always_healthy
    provision: Step = (
        nothing  # once healthy: what the others expect to find in it; done again on every up
    )
    ports: tuple[str, ...] = ()  # the names of its listeners in `site.PORTS`
    stop_signal: str = "TERM"
    patience: float = 90.0  # seconds to become healthy
    service: bool = False  # left out by `up --infrastructure`
