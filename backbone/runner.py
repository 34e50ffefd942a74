"""``backbone serve NAME``: one service in one process, from its first check to its last flush."""

import ctypes
import gc
import importlib
import logging
import os
import signal
import threading

from nameko.containers import get_service_name

from backbone import ops, telemetry
from backbone.container import NativeContainer
from backbone.contracts import ContractError
from backbone.settings import ConfigurationError, ServerSettings, TelemetrySettings, load

log = logging.getLogger(__name__)

# Of malloc.h.
_M_ARENA_MAX = -8


def service_class(name: str) -> type:
    """The nameko class of ``services/<name>/service.py``.

    Raises:
        LookupError: no such service.
    """
    try:
        module = importlib.import_module(f"services.{name}.service")
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("services"):
            raise LookupError(f"no service is called `{name}`") from error
        raise
    for item in vars(module).values():
        if isinstance(item, type) and getattr(item, "name", None) == name:
            return item
    raise LookupError(f"services/{name}/service.py has no class whose `name` is `{name}`")


def run(service: type) -> int:
    """Serves a nameko class until SIGTERM or SIGINT; returns the process's exit code.

    0 after a graceful stop, 1 when a part of the service failed.

    Raises:
        ConfigurationError, ContractError: the service cannot start as it is set up.
    """
    settings, name = load(ServerSettings), get_service_name(service)
    _share_arenas(settings.memory_arenas)
    provider = telemetry.setup(name, load(TelemetrySettings))
    container = NativeContainer(service, {"stop_timeout": settings.stop_timeout})
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())

    code = 0
    try:
        container.start()
        server = ops.serve(container, settings.ops_listen)
        # What is there by now stays: no collection looks through it again.
        gc.freeze()
        log.info("%s is up", name)
        while not asked.is_set() and not container.wait(0.2):
            pass
        _bound(settings.stop_timeout * 2)
        log.info("%s is stopping", name)
        server.shutdown()
        container.stop()
        log.info("%s has stopped", name)
    except (ConfigurationError, ContractError):
        # The operator's to mend: told in one line by the command.
        raise
    except Exception:
        log.critical("%s failed", name, exc_info=True)
        _bound(5.0)
        code = 1
    provider.shutdown()
    return code


def _share_arenas(count: int) -> None:
    """Has glibc keep so many arenas for all threads (mallopt(3), M_ARENA_MAX): else it has eight
    for each core, and what is freed in one is no room for the threads of another. A service with
    streams held a tenth more memory.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and count:
        mallopt(_M_ARENA_MAX, count)


def _bound(seconds: float) -> None:
    """However a stop goes wrong, the process ends: a supervisor waits for it."""

    def expire() -> None:
        log.critical("not stopped within %.0f s: leaving", seconds)
        os._exit(1)

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
