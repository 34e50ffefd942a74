"""A nameko service of a bench, served as ``backbone serve`` serves one of the project's."""

import signal
import threading

from backbone import ops, telemetry
from backbone.container import NativeContainer
from backbone.settings import ServerSettings, TelemetrySettings, load


def serve(service: type) -> None:
    """Serves until SIGTERM: telemetry, the native container, the operators' port."""
    settings = load(ServerSettings)
    provider = telemetry.setup(service.__name__, load(TelemetrySettings))
    container = NativeContainer(service, {"stop_timeout": settings.stop_timeout})
    asked = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: asked.set())
    container.start()
    server = ops.serve(container, settings.ops_listen)
    while not asked.is_set() and not container.wait(0.2):
        pass
    server.shutdown()
    container.stop()
    provider.shutdown()
