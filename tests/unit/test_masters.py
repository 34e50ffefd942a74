"""The master keys: read strictly, several at a time, and never shown."""

import base64
import uuid
from pathlib import Path

import pytest

from backbone import wrapping
from backbone.settings import ConfigurationError, load
from services.identity.masters import KeyringSettings, MasterMissing, Masters

OLD, NEW = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
VARIABLE, FILE = "BACKBONE_KEYRING_MASTER_KEYS", "BACKBONE_KEYRING_MASTER_KEYS_FILE"
OWNER, KEY_ID = uuid.uuid4(), uuid.uuid4()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, OLD)
    monkeypatch.delenv(FILE, raising=False)


def fault() -> str:
    with pytest.raises(ConfigurationError) as error:
        load(KeyringSettings)
    return str(error.value)


def test_the_first_key_wraps_and_the_others_still_unwrap(monkeypatch: pytest.MonkeyPatch) -> None:
    before = load(KeyringSettings).masters()
    wrapped = before.wrap(OWNER, KEY_ID, b"key")
    monkeypatch.setenv(VARIABLE, f"{NEW}, {OLD}")
    after = load(KeyringSettings).masters()
    assert after.newest != before.newest
    assert after.names == [after.newest, before.newest]
    assert after.unwrap(OWNER, KEY_ID, before.newest, wrapped) == b"key"
    again = after.wrap(OWNER, KEY_ID, b"key")
    assert after.unwrap(OWNER, KEY_ID, after.newest, again) == b"key"
    with pytest.raises(MasterMissing, match=after.newest):
        before.unwrap(OWNER, KEY_ID, after.newest, again)


def test_a_key_is_bound_to_its_owner_and_to_its_name() -> None:
    masters = load(KeyringSettings).masters()
    wrapped = masters.wrap(OWNER, KEY_ID, b"key")
    for owner, key_id in ((uuid.uuid4(), KEY_ID), (OWNER, uuid.uuid4())):
        with pytest.raises(wrapping.WrappingError):
            masters.unwrap(owner, key_id, masters.newest, wrapped)


def test_the_keys_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    expected = load(KeyringSettings).masters().newest
    file = tmp_path / "masters"
    file.write_text(f"{OLD}\n{NEW}\n")
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv(FILE, str(file))
    masters = load(KeyringSettings).masters()
    assert masters.newest == expected
    assert len(masters.names) == 2


@pytest.mark.parametrize(
    "text",
    ["s3cr3t!", base64.b64encode(b"s3cr3t").decode(), f"{OLD},", f"{OLD},{OLD}", f"{OLD},s3cr3t"],
)
def test_a_master_key_that_is_none_is_named_with_its_mend_and_not_shown(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, text)
    told = fault()
    assert f"{VARIABLE}:" in told
    assert "openssl rand -base64 32" in told
    assert text not in told
    file = tmp_path / "masters"
    file.write_text(text + "\n" if text != f"{OLD}," else "\n")
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv(FILE, str(file))
    assert f"{FILE}:" in fault()


def test_there_is_no_default_key_and_not_two_places_of_keys(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "masters"
    monkeypatch.setenv(FILE, str(file))
    assert "either this or" in fault()
    monkeypatch.delenv(VARIABLE)
    assert "is not a file that can be read" in fault()
    monkeypatch.delenv(FILE)
    assert f"{FILE}: Value error, either this or {VARIABLE}" in fault()


def test_a_name_tells_the_key_apart_and_nothing_of_it() -> None:
    key = base64.b64decode(OLD)
    (name,) = Masters([key]).names
    assert Masters([key]).names == [name]
    assert len(name) == 16
    assert not key.hex().startswith(name)
