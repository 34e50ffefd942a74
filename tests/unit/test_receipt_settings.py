"""The key and the authority of receipts: without them right, the service does not start."""

import base64
from pathlib import Path

import pytest

from backbone.settings import ConfigurationError, load
from services.documents.signing import ReceiptSettings

KEY = base64.b64encode(bytes(32)).decode()
ORIGIN = "api.example.org/receipts"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKBONE_RECEIPTS_ORIGIN", ORIGIN)
    monkeypatch.setenv("BACKBONE_RECEIPTS_KEY", KEY)
    for name in ("TSA_URL", "TSA_CAFILE"):
        monkeypatch.delenv(f"BACKBONE_RECEIPTS_{name}", raising=False)


def fault() -> str:
    with pytest.raises(ConfigurationError) as error:
        load(ReceiptSettings)
    return str(error.value)


def test_the_log_is_named_by_its_origin_and_its_key() -> None:
    key = str(load(ReceiptSettings).signer().verifier)
    assert key.startswith(f"{ORIGIN}+")


@pytest.mark.parametrize("name", ["BACKBONE_RECEIPTS_KEY", "BACKBONE_RECEIPTS_ORIGIN"])
def test_there_is_no_default_key_and_no_default_name(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv(name)
    assert f"{name}: Field required" in fault()


@pytest.mark.parametrize("key", ["", "s3cr3t!", base64.b64encode(b"s3cr3t").decode()])
def test_a_key_that_is_none_is_named_with_its_mend_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("BACKBONE_RECEIPTS_KEY", key)
    told = fault()
    assert "BACKBONE_RECEIPTS_KEY" in told
    assert "openssl rand -base64 32" in told
    assert not key or key not in told


@pytest.mark.parametrize("origin", ["", "two words", "a+b", "line\nfeed"])
def test_a_name_that_no_note_can_carry_is_refused(
    monkeypatch: pytest.MonkeyPatch, origin: str
) -> None:
    monkeypatch.setenv("BACKBONE_RECEIPTS_ORIGIN", origin)
    assert "BACKBONE_RECEIPTS_" in fault()


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_an_authority_needs_a_root_to_be_checked_against(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    monkeypatch.setenv("BACKBONE_RECEIPTS_TSA_URL", "http://127.0.0.1:1")
    if content is not None:
        (tmp_path / "root.pem").write_text(content)
        monkeypatch.setenv("BACKBONE_RECEIPTS_TSA_CAFILE", str(tmp_path / "root.pem"))
    assert "BACKBONE_RECEIPTS_TSA_CAFILE" in fault()
