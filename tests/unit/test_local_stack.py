"""The local stack's own logic: the realm, the ports, the secrets, what the supervisor is told."""

import base64
import configparser
import json
import re
import shlex
import socket
import stat
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from backbone.realm.code import RealmCodeError, merge, read, render
from deploy.keycloak import FOLDER, development_realm
from deploy.local import install, keycloak, services, site, stack, supervision
from deploy.local.collector import Traces
from deploy.local.component import Component
from deploy.local.components import components
from deploy.local.errors import StackError
from deploy.local.site import PORTS, SECRET_NAMES, Site


@pytest.fixture
def here() -> Site:
    return Site(PORTS, {name: f"secret-of-{name}" for name in SECRET_NAMES})


# ---- the realm ------------------------------------------------------------------------------


def test_an_overlay_adds_to_lists_of_named_objects_and_changes_the_entry_of_the_same_name() -> None:
    base = {"clients": [{"clientId": "portal", "enabled": True}, {"clientId": "gateway"}], "n": 1}
    overlay = {"clients": [{"clientId": "portal", "enabled": False}, {"clientId": "tests"}]}
    assert merge(base, overlay) == {
        "clients": [
            {"clientId": "portal", "enabled": False},
            {"clientId": "gateway"},
            {"clientId": "tests"},
        ],
        "n": 1,
    }


def test_an_overlay_replaces_a_list_of_plain_values() -> None:
    assert merge({"locales": ["fr", "en"]}, {"locales": ["fr"]}) == {"locales": ["fr"]}


def test_only_our_placeholders_are_replaced() -> None:
    document = {"a": ["x ${BACKBONE_A} y"], "b": "${role_default-roles}", "c": 3}
    assert render(document, {"BACKBONE_A": "1"}) == {
        "a": ["x 1 y"],
        "b": "${role_default-roles}",
        "c": 3,
    }


def test_a_placeholder_without_a_value_is_named() -> None:
    with pytest.raises(RealmCodeError, match="BACKBONE_NOWHERE"):
        render("${BACKBONE_NOWHERE}", {})


def test_the_development_realm_has_a_value_for_every_placeholder(here: Site) -> None:
    assert "${BACKBONE_" not in json.dumps(development_realm(keycloak.realm_values(here)))


def test_the_production_realm_has_no_password_grant_no_account_and_no_written_secret() -> None:
    realm = json.loads((FOLDER / "realm.json").read_text())
    assert not any(client.get("directAccessGrantsEnabled", True) for client in realm["clients"])
    assert all(user["serviceAccountClientId"] for user in realm["users"])
    secrets = [client["secret"] for client in realm["clients"] if "secret" in client]
    assert all(re.fullmatch(r"\$\{BACKBONE_[A-Z_]+\}", secret) for secret in secrets)


def test_a_layer_that_does_not_exist_is_named() -> None:
    with pytest.raises(RealmCodeError, match=r"nowhere\.json.*'development', 'upstream'"):
        read(FOLDER, ("nowhere",))


@pytest.mark.parametrize("name", ["realm.json", "development.json"])
def test_every_client_issues_access_tokens_of_the_type_of_rfc_9068(name: str) -> None:
    for client in json.loads((FOLDER / name).read_text())["clients"]:
        assert client["attributes"]["access.token.header.type.rfc9068"] == "true", client[
            "clientId"
        ]


def test_a_client_with_redirects_requires_pkce_and_names_them_exactly(here: Site) -> None:
    realm = development_realm(keycloak.realm_values(here))
    fronts = [client for client in realm["clients"] if client.get("redirectUris")]
    assert [client["clientId"] for client in fronts] == ["portal"]
    for client in fronts:
        assert client["attributes"]["pkce.code.challenge.method"] == "S256"
        assert not any("*" in uri for uri in client["redirectUris"])


# ---- ports and secrets ----------------------------------------------------------------------


def test_a_port_is_the_default_or_what_the_environment_says() -> None:
    ports = site.ports_from({"BACKBONE_PORT_GATEWAY": "8123"})
    assert ports == {**PORTS, "gateway": 8123}


@pytest.mark.parametrize("value", ["", "0", "65536", "http", "-1", "٣"])
def test_what_is_not_a_port_is_refused_with_its_variable(value: str) -> None:
    with pytest.raises(StackError, match="BACKBONE_PORT_SMTP"):
        site.ports_from({"BACKBONE_PORT_SMTP": value})


def test_one_port_given_twice_is_refused() -> None:
    with pytest.raises(StackError, match="both postgres and kafka"):
        site.ports_from({"BACKBONE_PORT_KAFKA": str(PORTS["postgres"])})


def test_a_busy_port_is_named_with_the_process_that_holds_it(here: Site) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        busy = Site({**PORTS, "smtp": holder.getsockname()[1]}, here.secrets)
        with pytest.raises(
            StackError, match=r"(?s)\(smtp\) is taken by process \d+ .*BACKBONE_PORT_SMTP"
        ):
            site.refuse_busy_ports(busy, ["smtp"])
    site.refuse_busy_ports(busy, ["smtp"])


def test_secrets_are_made_once_and_kept_from_other_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "SECRETS", tmp_path / "secrets.json")
    first = site.load_secrets()
    assert first == site.load_secrets()
    assert set(first) == set(SECRET_NAMES)
    assert len(set(first.values())) == len(first)
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600


def test_a_new_secret_is_added_and_the_old_ones_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "SECRETS", tmp_path / "secrets.json")
    (tmp_path / "secrets.json").write_text('{"kafka": "old"}')
    assert site.load_secrets()["kafka"] == "old"
    assert len(site.load_secrets()) == len(SECRET_NAMES)


def test_the_object_store_key_is_32_bytes_under_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site, "SECRETS", tmp_path / "secrets.json")
    name, _, key = site.load_secrets()["minio_kms"].partition(":")
    assert name
    assert len(base64.b64decode(key)) == 32


# ---- installing -----------------------------------------------------------------------------


def test_an_interrupted_installation_is_done_again_and_a_finished_one_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "OPT", tmp_path)
    attempts: list[Path] = []

    def build(folder: Path) -> None:
        attempts.append(folder)
        (folder / "half").touch()
        if len(attempts) == 1:
            raise StackError("cut off", "again")

    program = install.Program("thing", "1.0", "recipe", build, "no time")
    with pytest.raises(StackError):
        install.install(program, lambda _: None)
    assert not any(tmp_path.glob("thing-*"))
    install.install(program, lambda _: None)
    install.install(program, lambda _: None)
    assert program.installed
    assert len(attempts) == 2
    assert [entry.name for entry in tmp_path.iterdir()] == ["thing-1.0"]


# ---- the components -------------------------------------------------------------------------


def test_every_component_comes_after_components_that_stand_above_it(here: Site) -> None:
    known: set[str] = set()
    for component in components(here):
        assert set(component.after) <= known, component.name
        known.add(component.name)


def test_every_port_belongs_to_one_component(here: Site) -> None:
    owned = sorted(port for component in components(here) for port in component.ports)
    assert owned == sorted(PORTS)


def test_the_supervisor_reads_back_the_command_and_environment_it_is_given() -> None:
    command = ("/a path/server", "--set=100%", "it's")
    text = supervision.configuration(
        [Component("thing", command=command, environment={"A": "x%y,z"})]
    )
    parser = configparser.RawConfigParser()
    parser.read_string(text)
    section = parser["program:thing"]
    assert tuple(shlex.split(section["command"].replace("%%", "%"))) == command
    assert section["environment"] == 'A="x%%y,z"'
    assert section["autorestart"] == "true"


def test_a_service_gets_its_own_client_and_database_and_no_one_elses(here: Site) -> None:
    environment = services.environment(here, "identity")
    assert environment["BACKBONE_CLIENT_SECRET"] == "secret-of-client_identity"
    assert "//identity:secret-of-postgres_identity@" in environment["BACKBONE_DATABASE_URL"]
    assert not any("STORAGE" in name for name in environment)
    assert "BACKBONE_DATABASE_URL" not in services.environment(here, "gateway")


def test_the_description_names_the_accounts_and_clients_of_the_realm(here: Site) -> None:
    described = stack.describe(here, {"kafka": 1})
    assert described["accounts"]["citizen"]["name"] == "Joséphine Marie-Sainte"
    assert described["clients"]["partner-caf"] == {
        "client_id": "partner-caf",
        "client_secret": "secret-of-client_partner_caf",
        "administration": "caf-martinique",
    }
    assert described["clients"]["portal"]["redirect_uri"] == "http://127.0.0.1:8000/callback"
    assert "secret-of-password_agent" in stack.for_people(described)


# ---- the trace sink -------------------------------------------------------------------------


def _export(trace: int, spans: int) -> ExportTraceServiceRequest:
    export = ExportTraceServiceRequest()
    group = export.resource_spans.add()
    attribute = group.resource.attributes.add(key="service.name")
    attribute.value.string_value = "documents"
    scope = group.scope_spans.add()
    for number in range(spans):
        scope.spans.add(
            trace_id=trace.to_bytes(16, "big"),
            span_id=(number + 1).to_bytes(8, "big"),
            name=f"span {number}",
            start_time_unix_nano=1_000_000 - number,
            end_time_unix_nano=3_500_000 - number,
        )
    return export


def test_the_spans_of_a_trace_come_by_start_time() -> None:
    traces = Traces()
    traces.add(_export(7, 2))
    first, second = traces.get(f"{7:032x}")
    assert (first["name"], second["name"]) == ("span 1", "span 0")
    assert first["service"] == "documents"
    assert first["duration_ms"] == 2.5
    assert first["parent_span_id"] is None


def test_the_trace_touched_longest_ago_is_forgotten_first() -> None:
    traces = Traces(limit=3)
    for trace in (1, 2, 1, 3):
        traces.add(_export(trace, 1))
    assert traces.get(f"{2:032x}") == []
    assert len(traces.get(f"{1:032x}")) == 2
    assert traces.recent(10) == [f"{3:032x}", f"{1:032x}"]
