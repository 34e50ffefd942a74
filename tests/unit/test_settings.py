"""Settings: what is missing is named, what is secret is not shown."""

import pytest
from click.testing import CliRunner

from backbone import cli
from backbone.settings import (
    ClientSettings,
    ConfigurationError,
    DatabaseSettings,
    KafkaSettings,
    RealmSettings,
    ServerSettings,
    load,
)


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in os.environ:
        if name.startswith("BACKBONE_"):
            monkeypatch.delenv(name)


def test_a_missing_setting_is_named_as_the_variable_to_set() -> None:
    with pytest.raises(ConfigurationError) as missing:
        load(KafkaSettings)
    for name in ("BACKBONE_KAFKA_BOOTSTRAP", "BACKBONE_KAFKA_USERNAME", "BACKBONE_KAFKA_PASSWORD"):
        assert name in str(missing.value)


def test_a_malformed_setting_is_named_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBONE_GRPC_WORKERS", "s3cr3t-by-mistake")
    monkeypatch.setenv("BACKBONE_STOP_TIMEOUT", "-1")
    with pytest.raises(ConfigurationError) as wrong:
        load(ServerSettings)
    assert "BACKBONE_GRPC_WORKERS" in str(wrong.value)
    assert "BACKBONE_STOP_TIMEOUT" in str(wrong.value)
    assert "s3cr3t" not in str(wrong.value)
    assert wrong.value.__cause__ is None


def test_a_secret_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBONE_CLIENT_ID", "identity")
    monkeypatch.setenv("BACKBONE_CLIENT_SECRET", "s3cr3t")
    monkeypatch.setenv("BACKBONE_DATABASE_URL", "postgresql+psycopg://a:s3cr3t@h/d")
    assert "s3cr3t" not in repr(load(ClientSettings))
    assert "s3cr3t" not in repr(load(DatabaseSettings))
    assert load(ClientSettings).secret.get_secret_value() == "s3cr3t"


def test_every_group_but_what_is_required_has_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(ServerSettings).grpc_workers == 64
    monkeypatch.setenv("BACKBONE_ISSUER", "http://realm.invalid/realms/administration")
    assert load(RealmSettings).audience == "backbone"


def test_the_command_tells_a_mistake_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["backbone", "migrate", "identity"])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert "BACKBONE_DATABASE_URL" in told
    assert "Traceback" not in told


def test_the_command_tells_what_it_can_do() -> None:
    answer = CliRunner().invoke(cli.cli, ["--help"])
    assert answer.exit_code == 0
    for command in ("serve", "migrate", "topics"):
        assert command in answer.output


def test_a_service_that_does_not_exist_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["backbone", "migrate", "nothing"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "nothing" in capsys.readouterr().err
