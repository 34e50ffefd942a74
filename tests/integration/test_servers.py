"""What every service offers beside its contract: health, reflection, readiness, metrics."""

from typing import Any

import grpc
import httpx
import psycopg
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from backbone import contracts
from tests.support.rpc import Client

AREAS = list(contracts.SERVICES)


@pytest.mark.parametrize("area", AREAS)
def test_health_is_served_without_a_token(area: str, clients: dict[str, Client]) -> None:
    health = health_pb2_grpc.HealthStub(clients[area].channel)
    for name in ("", contracts.SERVICES[area]):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as unknown:
        health.Check(health_pb2.HealthCheckRequest(service="nothing"), timeout=10)
    assert unknown.value.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("area", AREAS)
def test_reflection_lists_the_services_and_gives_their_whole_contract(
    area: str, clients: dict[str, Client]
) -> None:
    database = ProtoReflectionDescriptorDatabase(clients[area].channel)
    listed = set(database.get_services())
    assert {contracts.SERVICES[area], "grpc.health.v1.Health"} <= listed
    described = DescriptorPool(database).FindServiceByName(contracts.SERVICES[area])
    known = contracts.service(contracts.SERVICES[area])
    assert [item.name for item in described.methods] == [item.name for item in known.methods]


@pytest.mark.parametrize("area", AREAS)
def test_an_rpc_that_no_contract_has_is_unimplemented(
    area: str, clients: dict[str, Client]
) -> None:
    call: Any = clients[area].channel.unary_unary(f"/{contracts.SERVICES[area]}/Nothing")
    with pytest.raises(grpc.RpcError) as refused:
        call(b"", timeout=10)
    assert refused.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("area", AREAS)
def test_operators_see_life_readiness_and_metrics(area: str, stack: dict[str, Any]) -> None:
    ops = stack["services"][area]["ops"]
    with httpx.Client(base_url=ops, timeout=30) as client:
        assert client.get("/livez").json() == {"status": "alive"}
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        assert "rpc_server_call_duration_seconds" in client.get("/metrics").text
        assert client.get("/nothing").status_code == 404


def test_reading_another_service_s_tables_is_refused_by_the_database(
    stack: dict[str, Any],
) -> None:
    for name, url in stack["postgres"]["databases"].items():
        others = set(stack["postgres"]["databases"]) - {name}
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute("SELECT count(*) FROM outbox")
            for other in others:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    connection.execute(f"SELECT 1 FROM {other}.outbox")
