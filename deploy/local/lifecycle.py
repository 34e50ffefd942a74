"""Bringing the stack up, taking it down, and handling one component of it."""

import concurrent.futures
import contextlib
import fcntl
import shutil
from collections.abc import Iterator

from deploy.local import keycloak, stack
from deploy.local.bringup import Say, already_up, bring_up, quiet, start_one, wait_one
from deploy.local.component import Component
from deploy.local.components import components
from deploy.local.errors import StackError
from deploy.local.paths import DATA, RUN, SECRETS, STACK
from deploy.local.programs import check_prerequisites
from deploy.local.site import load_site, refuse_busy_ports
from deploy.local.supervision import STOPPED, Supervisor, sweep

# There when the last `up` got through every step: without it, what runs may not be provisioned.
COMPLETE = RUN / "complete"


def up(services: bool = True, say: Say = quiet) -> stack.Stack:
    """Have everything installed, running and healthy; the stack, as `.local/stack.json` has it.

    With `services=False`, what the services stand on only. On a running stack, nothing that is
    healthy is touched. StackError says what failed and how to mend it; what runs by then is left
    running, for the next `up` or `down`.
    """
    check_prerequisites()
    with _alone(say):
        site = load_site()
        supervisor = Supervisor()
        table = components(site)
        wanted = [each for each in table if services or not each.service]
        if not supervisor.running():
            _sweep(say)
            refuse_busy_ports(site, (port for each in wanted for port in each.ports))
        supervisor.apply(table)
        if COMPLETE.exists() and already_up(supervisor, wanted):
            say("already running")
            if keycloak.realm_is_stale(site):
                say("the realm as code changed: bringing the realm back to it")
                keycloak.provision(site)
        else:
            COMPLETE.unlink(missing_ok=True)
            bring_up(wanted, say)
            COMPLETE.touch()
        return _record(supervisor)


def down(say: Say = quiet) -> None:
    """Stop everything, services first, and leave no process behind; programs and data stay."""
    with _alone(say):
        supervisor = Supervisor()
        if supervisor.running():
            running = {
                name for name, (state, _) in supervisor.states().items() if state not in STOPPED
            }
            for wave in _waves(components(load_site())):
                names = [each.name for each in wave if each.name in running]
                if names:
                    say("stopping " + ", ".join(names))
                with concurrent.futures.ThreadPoolExecutor() as together:
                    # Each thread its own connection: one is not to be shared.
                    list(together.map(lambda name: Supervisor().stop(name), names))
            supervisor.shutdown()
        _sweep(say)
        STACK.unlink(missing_ok=True)
        COMPLETE.unlink(missing_ok=True)


def reset(say: Say = quiet) -> None:
    """`down`, and forget the data and the secrets. Installed programs stay."""
    down(say)
    with _alone(say):
        if DATA.exists():
            shutil.rmtree(DATA)
        SECRETS.unlink(missing_ok=True)
        keycloak.IMPORT.unlink(missing_ok=True)


def start(name: str) -> None:
    """Start one component of a running stack, and wait until it is healthy."""
    start_one(_component(name), quiet)
    _record(Supervisor())


def stop(name: str) -> None:
    """Stop one component, and wait until it has stopped. It stays stopped until `start` or `up`."""
    Supervisor().stop(_component(name).name)


def restart(name: str) -> None:
    """Stop one component, start it, and wait until it is healthy."""
    stop(name)
    start(name)


def wait_healthy(name: str) -> None:
    """Wait until a component is healthy: after its process was killed, say."""
    wait_one(_component(name), quiet)


def pid(name: str) -> int:
    """The process id of a running component; StackError when it does not run."""
    state, number = Supervisor().states()[_component(name).name]
    if not number:
        raise StackError(f"{name} is not running ({state})", f"deploy.local.start({name!r})")
    return number


def status() -> Iterator[tuple[str, str, int, str | None]]:
    """For each component: name, supervisor's state, process id, and what its health check misses
    (None: nothing).
    """
    supervisor = Supervisor()
    states = supervisor.states() if supervisor.running() else {}
    for each in components(load_site()):
        if each.command:
            state, number = states.get(each.name, ("STOPPED", 0))
            yield each.name, state, number, each.healthy() if number else "not running"


def _sweep(say: Say) -> None:
    for number in sweep():
        say(f"ended process {number}, left by a supervisor that was killed")


def _waves(table: list[Component]) -> list[list[Component]]:
    """The components in the order in which they may stop: each wave needs only what stops later."""
    depth: dict[str, int] = {}
    for each in table:
        depth[each.name] = 1 + max((depth[name] for name in each.after), default=0)
    levels = sorted(set(depth.values()), reverse=True)
    return [[each for each in table if depth[each.name] == level] for level in levels]


def _component(name: str) -> Component:
    table = {each.name: each for each in components(load_site()) if each.command}
    if name not in table:
        raise StackError(f"no component is called {name!r}", "one of: " + ", ".join(table))
    return table[name]


def _record(supervisor: Supervisor) -> stack.Stack:
    processes = {name: number for name, (_, number) in supervisor.states().items() if number}
    described = stack.describe(load_site(), processes)
    stack.save(described)
    return described


@contextlib.contextmanager
def _alone(say: Say) -> Iterator[None]:
    """Nobody else brings this stack up or down meanwhile; who comes second waits."""
    RUN.mkdir(parents=True, exist_ok=True)
    with (RUN / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another `up` or `down` of this stack")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
