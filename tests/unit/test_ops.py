"""Readiness: what takes a service away from its callers, and what is only said."""

import httpx
from nameko.extensions import DependencyProvider

from backbone import ops
from tests.support.nameko import container_of
from tests.support.processes import free_port


class Part(DependencyProvider):  # type: ignore[misc]
    """Says what it is told to say."""

    unready: str | None = None
    unwell: str | None = None

    def check_ready(self) -> str | None:
        return self.unready

    def check_well(self) -> str | None:
        return self.unwell


def test_what_is_not_well_is_told_and_leaves_the_service_ready() -> None:
    class Service:
        name = "service"
        part = Part()

    container = container_of(Service)
    container.start()
    address = f"127.0.0.1:{free_port()}"
    server = ops.serve(container, address)
    part = container.providers[0]
    try:
        assert httpx.get(f"http://{address}/readyz").json() == {"status": "ready"}
        part.unwell = "Kafka is away"
        ready = httpx.get(f"http://{address}/readyz")
        assert (ready.status_code, ready.json()) == (
            200,
            {"status": "ready", "Part": "Kafka is away"},
        )
        part.unready = "the database is away"
        ready = httpx.get(f"http://{address}/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "not ready")
        assert ready.json()["Part"] == "the database is away"
    finally:
        server.shutdown()
        server.server_close()
        container.stop()
