"""The chart renders, is valid, and says of each service what the service's code needs."""

from typing import Any

import pytest
import yaml

from backbone.contracts import SERVICES
from backbone.database import Database
from backbone.events import Events
from backbone.rpc import GrpcClient
from backbone.runner import service_class
from deploy import chart

VALUES = yaml.safe_load((chart.CHART / "values.yaml").read_text())


@pytest.fixture(scope="session")
def rendered() -> str:
    return chart.render()


def pods(rendered: str) -> dict[str, dict[str, Any]]:
    """The pod of each Deployment and Job, by the object's name."""
    return {
        item["metadata"]["name"]: item["spec"]["template"]["spec"]
        for item in chart.objects(rendered)
        if item["kind"] in {"Deployment", "Job"}
    }


def containers(rendered: str) -> list[dict[str, Any]]:
    return [
        container
        for pod in pods(rendered).values()
        for container in [*pod.get("initContainers", []), *pod["containers"]]
    ]


def test_helm_finds_no_fault_in_the_chart() -> None:
    chart.lint()


def test_the_example_renders_to_the_golden_file(rendered: str) -> None:
    assert chart.changes(rendered) == "", "if it is meant: python -m deploy.chart golden"


def test_every_rendered_object_is_valid_for_kubernetes(rendered: str) -> None:
    assert list(chart.faults(rendered)) == []


def test_an_object_with_an_unknown_field_is_found(rendered: str) -> None:
    spoilt = rendered.replace("revisionHistoryLimit", "history")
    assert len(list(chart.faults(spoilt))) == len(VALUES["services"])


def test_the_chart_has_every_service_and_the_gateway() -> None:
    assert VALUES["services"].keys() == {*SERVICES, "gateway"}


def test_no_way_out_of_a_pod_is_open_to_every_port(rendered: str) -> None:
    policies = [item for item in chart.objects(rendered) if item["kind"] == "NetworkPolicy"]
    ways = [way for policy in policies for way in policy["spec"].get("egress", [])]
    assert ways
    assert all(way["ports"] for way in ways)


@pytest.mark.parametrize("name", SERVICES)
def test_the_chart_gives_a_service_what_its_dependencies_need(name: str) -> None:
    dependencies = vars(service_class(name)).values()
    declared = VALUES["services"][name]
    calls = {item.area for item in dependencies if isinstance(item, GrpcClient)}
    kinds = {"database": Database, "kafka": Events, "client": GrpcClient}
    uses = {
        use for use, kind in kinds.items() if any(isinstance(item, kind) for item in dependencies)
    }
    assert set(declared["calls"]) == calls
    assert set(declared["uses"]) >= uses


def test_the_gateway_calls_every_service_and_holds_no_secret(rendered: str) -> None:
    assert set(VALUES["services"]["gateway"]["calls"]) == SERVICES.keys()
    (gateway,) = pods(rendered)["backbone-gateway"]["containers"]
    assert not [entry for entry in gateway["env"] if "valueFrom" in entry]


@pytest.mark.parametrize(
    "value",
    [
        "image.repository",
        "publicUrl",
        "realm.issuer",
        "kafka.bootstrap",
        "kafka.existingSecret",
        "storage.endpoint",
        "storage.existingSecret",
        "antivirus.address",
        "smtp.host",
        "smtp.sender",
        "ingress.tls.secretName",
        "services.identity.existingSecret",
    ],
)
def test_a_missing_value_stops_the_rendering_and_is_named(value: str) -> None:
    with pytest.raises(chart.ChartError, match=f"{value} is required"):
        chart.render(f"--set={value}=")


@pytest.mark.parametrize(
    "setting",
    [
        "kafka.password=x",
        "services.identity.env.BACKBONE_DATABASE_PASSWORD=x",
        "services.identity.replica=3",
        "publicUrl=https://api.example.org/path",
        "gateway.corsOrigins={*}",
        "ingress.paths[0].path=/metrics",
    ],
)
def test_a_value_that_is_unknown_or_unsafe_is_refused(setting: str) -> None:
    with pytest.raises(chart.ChartError, match="don't meet the specifications"):
        chart.render(f"--set={setting}")


def test_a_service_cannot_call_one_that_is_not_there() -> None:
    with pytest.raises(chart.ChartError, match="names nobody, which is not in services"):
        chart.render("--set=services.gateway.calls={nobody}")


def test_every_pod_is_restricted(rendered: str) -> None:
    """What the Pod Security Standard `restricted` asks, and a read-only file system."""
    for pod in pods(rendered).values():
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(rendered):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


def test_no_secret_is_written_in_an_object(rendered: str) -> None:
    for container in containers(rendered):
        for entry in container["env"]:
            if any(word in entry["name"] for word in ("PASSWORD", "SECRET", "DATABASE_URL")):
                assert "secretKeyRef" in entry["valueFrom"], entry["name"]
    assert "Secret" not in {item["kind"] for item in chart.objects(rendered)}


def test_each_schema_is_migrated_by_the_role_of_its_own_service(rendered: str) -> None:
    steps = {step["args"][1]: step for step in pods(rendered)["backbone-prepare"]["initContainers"]}
    assert steps.keys() == SERVICES.keys()
    for name, step in steps.items():
        (url,) = [entry for entry in step["env"] if entry["name"] == "BACKBONE_DATABASE_URL"]
        assert url["valueFrom"]["secretKeyRef"]["name"] == f"backbone-{name}"


def test_the_network_lets_a_service_be_called_only_by_those_that_call_it(rendered: str) -> None:
    policies = {
        item["metadata"]["name"].removeprefix("backbone-"): item["spec"]
        for item in chart.objects(rendered)
        if item["kind"] == "NetworkPolicy"
    }
    assert "ingress" not in policies["default-deny"]
    assert "egress" not in policies["default-deny"]
    for name in SERVICES:
        grpc = [rule for rule in policies[name]["ingress"] if rule["ports"][0]["port"] == 50051]
        callers = {
            peer["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
            for rule in grpc
            for peer in rule["from"]
        }
        services = VALUES["services"]
        assert callers == {other for other in services if name in services[other]["calls"]}


def test_the_ingress_publishes_the_api_and_not_the_metrics(rendered: str) -> None:
    (ingress,) = [item for item in chart.objects(rendered) if item["kind"] == "Ingress"]
    (rule,) = ingress["spec"]["rules"]
    paths = {path["path"] for path in rule["http"]["paths"]}
    assert paths == {"/v1", "/openapi.json", "/asyncapi.json", "/schemas"}
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]
