"""The gateway's one extension: an HTTP server on an event loop, on a thread of the container."""

import asyncio
import concurrent.futures
import logging
import socket
import threading

import uvloop
from nameko.extensions import DependencyProvider

from backbone.settings import load
from services.gateway import assembly, server
from services.gateway.backends import Backends
from services.gateway.settings import GatewaySettings

_LOG = logging.getLogger(__name__)
_CHECK_SECONDS = 3.0


class Edge(DependencyProvider):  # type: ignore[misc]
    """Serves HTTP from the contracts for as long as its service runs.

    The event loop, and all that belongs to it, lives on the managed thread; the other threads
    only ask it to stop, or whether it is ready.
    """

    def __init__(self) -> None:
        self._listener: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._backends: Backends | None = None
        self._server: server.Server | None = None
        self._stopping: asyncio.Event | None = None
        self._asked = threading.Event()
        self._quiet = threading.Event()

    def setup(self) -> None:
        """Reads the settings and takes the address.

        Raises:
            ConfigurationError: a setting is wrong, or the address is taken.
        """
        self.settings = load(GatewaySettings)
        self._listener = server.listen(self.settings)

    def start(self) -> None:
        self.container.spawn_managed_thread(self._run, identifier="http")

    def stop(self) -> None:
        """Takes no new connection, ends the streams, and returns when the rest has finished.

        Requests that outlast `stop_timeout` are cut off.
        """
        self._ask()
        if self._loop is None or not self._quiet.wait(self.settings.stop_timeout):
            _LOG.warning("the HTTP server did not become quiet")

    def kill(self) -> None:
        if self._server is not None:
            self._server.force_exit = True
        self._ask()

    @property
    def port(self) -> int:
        """The port that is listened on, where the settings left it open (0)."""
        if self._listener is None:
            return 0
        return int(self._listener.getsockname()[1])

    def check_ready(self) -> str | None:
        """None when every backend serves; else which does not. From any thread but the loop's."""
        if self._loop is None or self._quiet.is_set() or self._asked.is_set():
            return "the HTTP server does not run"
        future = asyncio.run_coroutine_threadsafe(self.ready(), self._loop)
        try:
            answers = future.result(_CHECK_SECONDS)
        except (concurrent.futures.TimeoutError, concurrent.futures.CancelledError):
            future.cancel()
            return "the HTTP server does not answer"
        failing = [f"{area}: {answer}" for area, answer in answers.items() if answer != "SERVING"]
        return ", ".join(failing) or None

    async def ready(self) -> dict[str, str]:
        """What each backend's health service says."""
        return {} if self._backends is None else await self._backends.check()

    def _ask(self) -> None:
        self._asked.set()
        if self._loop is not None and not self._quiet.is_set():
            self._loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        if self._server is not None and self._stopping is not None:
            self._stopping.set()
            self._server.should_exit = True

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                self._loop = runner.get_loop()
                runner.run(self._serve())
        finally:
            self._quiet.set()
            if self._listener is not None:
                self._listener.close()

    async def _serve(self) -> None:
        assert self._listener is not None
        self._stopping = asyncio.Event()
        self._backends = Backends(self.settings.addresses)
        application = assembly.build(self.settings, self._backends, self._stopping)
        # Less than the container's own patience, so that what is left is cut off in order.
        self._server = server.make(application, self.settings.stop_timeout * 0.8)
        if self._asked.is_set():
            self._leave()
        _LOG.info("HTTP on %s:%d", self.settings.host_and_port[0], self.port)
        try:
            await self._server.serve([self._listener])
        finally:
            await self._backends.close()
