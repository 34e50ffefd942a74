"""`backbone partner`, without Keycloak or Kafka: what it refuses, undoes, finishes and writes."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import SecretStr, ValidationError

from backbone.partners import cli, configuration
from backbone.partners.administer import Partners
from backbone.partners.check import Check
from backbone.partners.fakes import MemoryAccess, MemoryRegistry
from backbone.partners.folder import SAMPLES, Folder
from backbone.partners.partner import Partner, PartnerError, State, client_id_of
from backbone.partners.registry import KeycloakRegistry
from backbone.partners.samples import consumer as sample
from backbone.partners.settings import KeycloakAdminSettings, PartnersSettings
from backbone.settings import RealmSettings
from tests.support.partner_conformance import TOPIC, AccessConformance, RegistryConformance

CLIENT, RATE = "partner-essai", 4096
REALM = RealmSettings(issuer="http://realm.invalid/realms/administration")
KAFKA = PartnersSettings(bootstrap="kafka.invalid:9094")


class TestMemoryRegistry(RegistryConformance):
    @pytest.fixture
    def registry(self) -> MemoryRegistry:
        return MemoryRegistry()

    @pytest.fixture
    def client_id(self) -> str:
        return CLIENT

    @pytest.fixture
    def accepts(self, registry: MemoryRegistry) -> Callable[[str, str], bool]:
        return registry.accepts


class TestMemoryAccess(AccessConformance):
    @pytest.fixture
    def access(self) -> MemoryAccess:
        return MemoryAccess()

    @pytest.fixture
    def client_id(self) -> str:
        return CLIENT


@pytest.fixture
def registry() -> MemoryRegistry:
    return MemoryRegistry()


@pytest.fixture
def access() -> MemoryAccess:
    return MemoryAccess()


@pytest.fixture
def partners(registry: MemoryRegistry, access: MemoryAccess) -> Partners:
    return Partners(registry, access)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, REALM, KAFKA)


def add(partners: Partners, folder: Folder, administration: str = "essai-sud") -> str:
    return partners.add("essai", administration, [TOPIC], RATE, folder)


# ---- add ------------------------------------------------------------------------------------


def test_a_partner_is_registered_granted_limited_and_given_its_folder(
    partners: Partners, registry: MemoryRegistry, access: MemoryAccess, folder: Folder
) -> None:
    secret = add(partners, folder)
    assert registry.partners[CLIENT].state is State.READY
    assert registry.partners[CLIENT].last_grant
    assert access.granted() == {CLIENT: [TOPIC]}
    assert access.limits() == {CLIENT: RATE}
    assert registry.accepts(CLIENT, secret)
    assert folder.path
    read = configuration.read(folder.path / "partner.env")
    assert (read.client_id, read.client_secret, read.granted()) == (CLIENT, secret, [TOPIC])
    assert read.group.startswith(f"{CLIENT}.")
    assert read.kafka_security_protocol == "SASL_SSL"


def test_one_that_exists_is_refused_and_left_as_it_is(
    partners: Partners, registry: MemoryRegistry, folder: Folder, tmp_path: Path
) -> None:
    secret = add(partners, folder)
    with pytest.raises(PartnerError, match="exists: `backbone partner grant`"):
        add(partners, Folder(tmp_path / "elsewhere", REALM, KAFKA))
    with pytest.raises(PartnerError, match="acts for essai-sud"):
        add(partners, folder, "essai-nord")
    assert registry.accepts(CLIENT, secret)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("alias", ["", "partner-essai", "Essai", "é", "a b", "a.b", "-a", "a" * 60])
def test_an_alias_that_cannot_name_a_client_is_refused(
    alias: str, partners: Partners, registry: MemoryRegistry, folder: Folder
) -> None:
    with pytest.raises(PartnerError):
        partners.add(alias, "essai-sud", [], RATE, folder)
    assert not registry.partners


@pytest.mark.parametrize(
    ("administration", "topic"),
    [("Essai Sud", TOPIC), ("", TOPIC), ("essai", "administration.documents.v1.Document")],
)
def test_a_wrong_administration_or_topic_is_refused_before_anything_is_done(
    administration: str, topic: str, partners: Partners, registry: MemoryRegistry, folder: Folder
) -> None:
    with pytest.raises(PartnerError):
        partners.add("essai", administration, [topic], RATE, folder)
    assert not registry.partners
    assert folder.path is None


class Broken:
    """A handover that fails, or is interrupted."""

    def __init__(self, failure: BaseException) -> None:
        self.failure = failure

    def write(self, *_: Any, **__: Any) -> None:
        raise self.failure

    def remove(self) -> None:
        """Nothing was written."""


@pytest.mark.parametrize("failure", [PartnerError("the disk is full"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing_behind(
    failure: BaseException, partners: Partners, registry: MemoryRegistry, access: MemoryAccess
) -> None:
    with pytest.raises(type(failure)):
        partners.add("essai", "essai-sud", [TOPIC], RATE, Broken(failure))
    assert not registry.partners
    assert not access.granted()
    assert not access.limits()


def test_a_failure_after_the_folder_takes_it_back(
    partners: Partners, registry: MemoryRegistry, folder: Folder, tmp_path: Path
) -> None:
    def refuse(partner: Partner) -> None:
        raise PartnerError("Keycloak does not answer")

    registry.update = refuse  # type: ignore[method-assign]
    with pytest.raises(PartnerError, match="Keycloak does not answer"):
        add(partners, folder)
    assert not list(tmp_path.iterdir())
    assert not registry.partners


def test_what_could_not_be_undone_is_told_and_finished_by_the_next_run(
    partners: Partners, registry: MemoryRegistry, access: MemoryAccess, folder: Folder
) -> None:
    def refuse(client_id: str, bytes_per_second: int | None) -> None:
        raise PartnerError("Kafka is away")

    access.limit = refuse  # type: ignore[method-assign]
    with pytest.raises(PartnerError, match="run the same again to finish it"):
        add(partners, folder)
    assert registry.partners[CLIENT].state is State.ADDING
    del access.limit
    secret = add(partners, folder)
    assert registry.partners[CLIENT].state is State.READY
    assert registry.accepts(CLIENT, secret)


def test_a_run_that_was_killed_after_its_folder_is_finished_with_another_secret(
    partners: Partners, registry: MemoryRegistry, folder: Folder
) -> None:
    adding = Partner(CLIENT, "essai-sud", State.ADDING)
    lost = registry.create(adding)
    folder.write(adding, lost, [], again=False)
    secret = add(partners, folder)
    assert folder.path
    assert configuration.read(folder.path / "partner.env").client_secret == secret
    assert not registry.accepts(CLIENT, lost)


def test_a_folder_that_is_there_is_never_written_over(
    partners: Partners, registry: MemoryRegistry, folder: Folder, tmp_path: Path
) -> None:
    (tmp_path / CLIENT).mkdir()
    (tmp_path / CLIENT / "kept").touch()
    with pytest.raises(PartnerError, match="move it away"):
        add(partners, folder)
    assert [path.name for path in (tmp_path / CLIENT).iterdir()] == ["kept"]
    assert not registry.partners


# ---- grant, revoke, rotate, limit -----------------------------------------------------------


def test_who_is_revoked_has_nothing_and_comes_back_with_a_new_secret(
    partners: Partners,
    registry: MemoryRegistry,
    access: MemoryAccess,
    folder: Folder,
    tmp_path: Path,
) -> None:
    secret = add(partners, folder)
    assert partners.revoke(CLIENT)
    assert not registry.accepts(CLIENT, secret)
    assert not access.granted()
    assert not access.limits()
    for act in (lambda: partners.grant(CLIENT, TOPIC), lambda: partners.rotate(CLIENT)):
        with pytest.raises(PartnerError, match="revoked: `backbone partner add`"):
            act()
    renewed = add(partners, Folder(tmp_path / "again", REALM, KAFKA))
    assert registry.accepts(CLIENT, renewed)
    assert not registry.accepts(CLIENT, secret)


def test_one_that_cannot_come_back_stays_revoked(
    partners: Partners, registry: MemoryRegistry, access: MemoryAccess, folder: Folder
) -> None:
    add(partners, folder)
    partners.revoke(CLIENT)
    with pytest.raises(PartnerError, match="full"):
        partners.add("essai", "essai-sud", [TOPIC], RATE, Broken(PartnerError("full")))
    assert registry.partners[CLIENT].state is State.REVOKED
    assert not access.granted()


def test_one_topic_is_granted_and_taken_back_alone(
    partners: Partners, registry: MemoryRegistry, access: MemoryAccess, folder: Folder
) -> None:
    secret = partners.add("essai", "essai-sud", [], RATE, folder)
    assert registry.partners[CLIENT].last_grant == ""
    partners.grant(CLIENT, TOPIC)
    assert registry.partners[CLIENT].last_grant
    partners.revoke(CLIENT, TOPIC)
    assert not access.granted()
    assert registry.accepts(CLIENT, secret)
    with pytest.raises(PartnerError, match="it has: none"):
        partners.revoke(CLIENT, TOPIC)


def test_only_a_public_topic_can_be_granted(partners: Partners, folder: Folder) -> None:
    add(partners, folder)
    with pytest.raises(PartnerError, match="public topics: public\\.documents"):
        partners.grant(CLIENT, "administration.documents.v1.Document")


def test_a_partner_that_is_not_there_is_named(partners: Partners) -> None:
    for act in (
        lambda: partners.grant("partner-nobody", TOPIC),
        lambda: partners.revoke("partner-nobody"),
        lambda: partners.rotate("partner-nobody"),
        lambda: partners.limit("partner-nobody", RATE),
    ):
        with pytest.raises(PartnerError, match="partner-nobody is no partner"):
            act()


def test_what_kafka_alone_still_knows_is_listed_and_can_be_taken_back(
    partners: Partners, access: MemoryAccess
) -> None:
    access.grant(CLIENT, TOPIC)
    assert [(row.client, row.state) for row in partners.rows()] == [(CLIENT, "no client")]
    assert partners.revoke(CLIENT) is None
    assert not partners.rows()


# ---- the folder -----------------------------------------------------------------------------


def test_only_its_owner_can_read_the_folder_and_the_secret_is_in_one_file(
    partners: Partners, folder: Folder
) -> None:
    secret = add(partners, folder)
    assert folder.path
    assert {path.name for path in folder.path.iterdir()} == {*SAMPLES, "partner.env"}
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert (folder.path / "partner.env").stat().st_mode & 0o777 == 0o600
    holders = [path.name for path in folder.path.iterdir() if secret in path.read_text()]
    assert holders == ["partner.env"]


def test_the_authority_of_the_listener_goes_with_the_folder(tmp_path: Path) -> None:
    cafile = tmp_path / "authority.pem"
    cafile.write_text("-----BEGIN CERTIFICATE-----\n")
    settings = PartnersSettings(bootstrap="kafka.invalid:9094", cafile=cafile)
    folder = Folder(tmp_path / "out", REALM, settings)
    folder.write(Partner(CLIENT, "essai-sud"), "secret", [TOPIC], again=False)
    assert folder.path
    assert (folder.path / "authority.pem").read_text() == cafile.read_text()
    assert configuration.read(folder.path / "partner.env").kafka_cafile == "authority.pem"


def test_a_folder_that_cannot_be_made_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = Folder(tmp_path / "file", REALM, KAFKA)
    with pytest.raises(PartnerError, match="cannot be written"):
        folder.write(Partner(CLIENT, "essai-sud"), "secret", [], again=False)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_configuration_is_read_as_it_was_written_and_never_prints_its_secret(
    folder: Folder,
) -> None:
    folder.write(Partner(CLIENT, "essai-sud"), "s3cr3t", [TOPIC, TOPIC], again=False)
    assert folder.path
    path = folder.path / "partner.env"
    read = configuration.read(path)
    assert "s3cr3t" not in repr(read)
    changed = dataclasses.replace(read, client_secret="other")
    configuration.write(path, changed.text())
    assert configuration.read(path) == changed
    assert not configuration.exposed(path)


# ---- the sample that is given ---------------------------------------------------------------


class Records:
    """A consumer that has a few records, then stops the sample."""

    def __init__(self, *records: Any) -> None:
        self.batches = [{0: list(records)}]
        self.committed = 0

    def poll(self, timeout_ms: int, max_records: int) -> dict[int, list[Any]]:
        return self.batches.pop() if self.batches else {}

    def commit(self) -> None:
        self.committed += 1


def record(event_id: str | None, value: bytes = b'{"documentId": "1"}') -> Any:
    headers = [("content-type", b"application/json"), ("ce_type", b"essai")]
    headers += [("ce_id", event_id.encode())] if event_id else []
    return SimpleNamespace(headers=headers, value=value, topic=TOPIC)


def test_the_sample_handles_an_event_that_comes_twice_once_also_after_a_restart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sample, "SEEN", tmp_path / "seen.txt")
    tokens = sample.Tokens({})
    runs: list[Sequence[str | None]] = [("a", "a", None, "b"), ("b", "a", "c")]
    for ids in runs:
        records = Records(*(record(event_id) for event_id in ids))
        wanted = len({event_id for event_id in ids if event_id})
        stop = SimpleNamespace(is_set=lambda records=records: not records.batches)
        sample.consume(records, tokens, wanted, stop)  # type: ignore[arg-type]
        assert records.committed == 1
    told = capsys.readouterr()
    assert [json.loads(line)["id"] for line in told.out.splitlines()] == ["a", "b", "c"]
    assert "skipped" in told.err


def test_the_sample_stops_when_its_credentials_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sample, "SEEN", tmp_path / "seen.txt")
    tokens = sample.Tokens({})
    tokens.refused = "partner-essai is refused"
    stop = SimpleNamespace(is_set=lambda: False)
    with pytest.raises(sample.RefusedError, match="partner-essai"):
        sample.consume(Records(), tokens, 0, stop)  # type: ignore[arg-type]


# ---- the command ----------------------------------------------------------------------------


def test_the_list_is_a_table_or_a_json_object_a_line(
    partners: Partners, access: MemoryAccess, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(partners, folder)
    access.known_groups = [f"{CLIENT}.one", "notifications", f"{CLIENT}-2.one"]
    monkeypatch.setattr(cli, "_partners", lambda: partners)
    table = CliRunner().invoke(cli.partner, ["list"]).output.splitlines()
    assert table[0].split()[:3] == ["CLIENT", "ADMINISTRATION", "STATE"]
    assert table[1].split()[:4] == [CLIENT, "essai-sud", "ready", str(RATE)]
    (line,) = CliRunner().invoke(cli.partner, ["list", "--json"]).output.splitlines()
    told = json.loads(line)
    assert told["groups"] == [f"{CLIENT}.one"]
    assert told["topics"] == [TOPIC]


def test_a_rotated_secret_is_shown_and_put_into_the_file_that_is_named(
    partners: Partners, registry: MemoryRegistry, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = add(partners, folder)
    assert folder.path
    path = folder.path / "partner.env"
    monkeypatch.setattr(cli, "_partners", lambda: partners)
    told = CliRunner().invoke(cli.partner, ["rotate", CLIENT, "--config", str(path)])
    secret = registry.secrets[CLIENT]
    assert secret != old
    assert told.output.count(secret) == 1
    assert configuration.read(path).client_secret == secret


def test_a_check_without_a_usable_file_fails_at_its_first_step(tmp_path: Path) -> None:
    path = tmp_path / "partner.env"
    path.write_text("CLIENT_ID=partner-essai\n")
    (step,) = Check(CLIENT, path).steps()
    assert step.passed is False
    assert "CLIENT_SECRET" in step.detail


def test_a_check_of_another_client_s_file_goes_no_further(folder: Folder) -> None:
    folder.write(Partner(CLIENT, "essai-sud"), "s3cr3t", [TOPIC], again=False)
    assert folder.path
    first, *others = Check("partner-other", folder.path / "partner.env").steps()
    assert first.passed is False
    assert {step.passed for step in others} == {None}
    assert "s3cr3t" not in str([first, *others])


def test_keycloak_away_is_one_sentence_without_a_secret() -> None:
    realm = RealmSettings(issuer="http://127.0.0.1:1/realms/administration")
    admin = KeycloakAdminSettings(client_secret=SecretStr("s3cr3t"))
    with pytest.raises(PartnerError, match="BACKBONE_ISSUER") as told:
        KeycloakRegistry(realm, admin).find(client_id_of("essai"))
    assert "s3cr3t" not in str(told.value)


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL", ""])
def test_partners_never_come_without_their_token(protocol: str) -> None:
    with pytest.raises(ValidationError):
        PartnersSettings.model_validate({"bootstrap": "k:9094", "security_protocol": protocol})
