"""Bringing components to health: as many at once as their order allows, each in bounded time."""

import concurrent.futures
import threading
import time
from collections.abc import Callable, Sequence

from deploy.local.component import Component
from deploy.local.errors import StackError
from deploy.local.install import install, tail
from deploy.local.probes import wait_for
from deploy.local.supervision import Supervisor, log_path

Say = Callable[[str], None]
Future = concurrent.futures.Future[None]
CRASHES = 5  # processes of one component that may end before it is given up
REMINDER = 15.0  # seconds between two lines about a component that is waited for


def quiet(_: str) -> None:
    """Tell nothing."""


def bring_up(wanted: Sequence[Component], say: Say) -> None:
    """Each component as soon as those it comes after are healthy; the first failure is raised, once
    what was under way by then has ended.
    """
    given_up = threading.Event()

    def unless_given_up(words: str) -> None:
        if given_up.is_set():
            raise StackError("given up", "mend what failed before")
        say(words)

    futures: dict[str, Future] = {}
    # A thread for each, so that one which waits for another never keeps it from running.
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(wanted)) as pool:
        try:
            for each in wanted:
                needs = [futures[name] for name in each.after if name in futures]
                futures[each.name] = pool.submit(_bring_one, each, needs, unless_given_up)
            for future in concurrent.futures.as_completed(futures.values()):
                future.result()
        except BaseException:  # an interruption too: the threads end at their next line
            given_up.set()
            raise


def start_one(component: Component, say: Say) -> None:
    """Prepare a component, start it unless it runs, wait until it is healthy, provision it."""
    began = time.monotonic()
    component.prepare()
    if component.command:
        Supervisor().start(component.name)
    wait_one(component, say)
    component.provision()
    say(f"{component.name}: ready in {time.monotonic() - began:.1f} s")


def wait_one(component: Component, say: Say) -> None:
    """Wait until a component is healthy. StackError, with the end of its log, when its patience is
    over or when it keeps ending.
    """
    supervisor = Supervisor()
    processes: set[int] = set()
    told = 0.0

    def still(answer: str, waited: float) -> None:
        nonlocal told
        if component.command:
            state, number = supervisor.states()[component.name]
            processes.add(number)
            if state == "FATAL" or len(processes) > CRASHES:
                raise TimeoutError(f"it keeps ending; {answer}")
        if waited - told > REMINDER:
            told = waited
            say(f"{component.name}: waiting ({waited:.0f} s): {answer[:120]}")

    try:
        wait_for(component.healthy, component.patience, still)
    except TimeoutError as late:
        log = log_path(component.name)
        raise StackError(
            f"{component.name} is not healthy: {late}\n{tail(log)}",
            f"see {log}; mend it, then run the same again (`make reset` starts from nothing)",
        ) from late


def already_up(supervisor: Supervisor, wanted: Sequence[Component]) -> bool:
    """True when every component runs and is healthy."""
    states = supervisor.states()
    programs = [each for each in wanted if each.command]
    if any(states[each.name][0] != "RUNNING" for each in programs):
        return False
    with concurrent.futures.ThreadPoolExecutor(max_workers=len(programs)) as together:
        return all(answer is None for answer in together.map(lambda each: each.healthy(), programs))


def _bring_one(component: Component, needs: Sequence[Future], say: Say) -> None:
    if component.program:
        install(component.program, say)
    for need in needs:
        need.result()
    start_one(component, say)
