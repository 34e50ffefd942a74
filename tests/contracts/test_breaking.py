"""A change that breaks a contract does not pass, and names the topics whose readers it breaks."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deploy import breaking
from deploy.local.paths import ROOT

EVENTS = "protos/administration/documents/v1/events.proto"
PUBLIC = "public.documents.v1.Document"
INTERNAL = "administration.documents.v1.Document"
SHARED = "administration.documents.v1.DocumentShared"
DEPOSITED = "administration.documents.v1.DocumentDeposited"

Run = Callable[..., Result]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the contracts as they are now, which are its baseline too."""
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    shutil.copytree(ROOT / "gen" / "include", tmp_path / "gen" / "include")
    shutil.copyfile(ROOT / "buf.yaml", tmp_path / "buf.yaml")
    accepted = CliRunner().invoke(breaking.main, ["--root", str(tmp_path), "--accept"])
    assert accepted.exit_code == 0, accepted.output
    return tmp_path


@pytest.fixture
def run(copy: Path) -> Run:
    return lambda *options: CliRunner().invoke(breaking.main, ["--root", str(copy), *options])


def edit(copy: Path, pattern: str, replacement: str) -> None:
    """Changes the documents' events in one place."""
    path = copy / EVENTS
    text, count = re.subn(pattern, replacement, path.read_text(), count=1, flags=re.DOTALL)
    assert count == 1, pattern
    path.write_text(text)


def topics_in(output: str) -> set[str]:
    return set(re.findall(r"^(\w+\.\w+(?:\.\w+)+)$", output, re.MULTILINE))


def test_these_contracts_break_nothing_of_the_last_release() -> None:
    result = CliRunner().invoke(breaking.main)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("pattern", "replacement", "told"),
    [
        (r"  string share_id = 3;\n", "", "FIELD_NO_DELETE"),
        (r"string share_id = 3", "int64 share_id = 3", "FIELD_SAME_TYPE"),
        (r"string share_id = 3", "string sharing_id = 3", "FIELD_SAME_NAME"),
        (r"string share_id = 3", 'string share_id = 3 [json_name = "share"]', "FIELD_SAME_JSON"),
        (r"VISIBILITY_PUBLIC", "VISIBILITY_INTERNAL", f"goes to {INTERNAL} only"),
        (r"message DocumentShared", "message DocumentSent", "is no longer an event"),
    ],
    ids=["removed", "retyped", "renamed", "json", "hidden", "gone"],
)
def test_a_break_of_a_public_event_names_its_topic(
    copy: Path, run: Run, pattern: str, replacement: str, told: str
) -> None:
    edit(copy, pattern, replacement)
    result = run()
    assert result.exit_code == 1
    assert told in result.output
    assert PUBLIC in topics_in(result.output)
    assert SHARED in result.output
    assert DEPOSITED not in result.output
    assert "not looked up (--kafka" in result.output


def test_another_key_or_another_topic_is_a_break_that_buf_does_not_see(
    copy: Path, run: Run
) -> None:
    edit(copy, r'(Shared {.*?key_field: )"document_id"', r'\1"owner_id"')
    edit(copy, r'(Deposited {.*?entity: )"Document"', r'\1"Deposit"')
    result = run()
    assert result.exit_code == 1
    assert topics_in(result.output) == {PUBLIC, INTERNAL}
    assert f"{SHARED} has another key: owner_id" in result.output
    assert f"{DEPOSITED} goes to administration.documents.v1.Deposit only" in result.output


def test_a_break_of_an_internal_event_names_no_partner(copy: Path, run: Run) -> None:
    edit(copy, r"  string media_type = 3;\n", "")
    result = run("--kafka")
    assert result.exit_code == 1
    assert topics_in(result.output) == {INTERNAL}
    assert "read by: the services of the backbone" in result.output


def test_a_break_within_a_nested_type_is_the_events_break(copy: Path, run: Run) -> None:
    nested = "message Place { string code = 1; string island = 2; }\n"
    (copy / EVENTS).write_text((copy / EVENTS).read_text() + nested)
    edit(copy, r"string share_id = 3;", "string share_id = 3; Place place = 6;")
    assert run("--accept").exit_code == 0
    edit(copy, r" string island = 2;", "")
    result = run()
    assert result.exit_code == 1
    assert topics_in(result.output) == {PUBLIC, INTERNAL}


def test_a_break_of_a_call_names_no_topic(copy: Path, run: Run) -> None:
    path = copy / "protos/administration/documents/v1/documents.proto"
    path.write_text(path.read_text().replace("message ListDocumentsRequest", "message Listing"))
    path.write_text(path.read_text().replace("(ListDocumentsRequest", "(Listing"))
    result = run()
    assert result.exit_code == 1
    assert "ListDocumentsRequest" in result.output
    assert not topics_in(result.output)


def test_what_is_added_breaks_nothing(copy: Path, run: Run) -> None:
    edit(copy, r"string share_id = 3;", "string share_id = 3; string channel = 9;")
    edit(copy, r"VISIBILITY_INTERNAL", "VISIBILITY_PUBLIC")
    result = run()
    assert result.exit_code == 0, result.output


def test_a_break_that_is_accepted_is_told_once_more_and_is_the_baseline(
    copy: Path, run: Run
) -> None:
    baseline = copy / breaking.BASELINE
    before = baseline.read_bytes()
    assert run("--accept").exit_code == 0
    assert baseline.read_bytes() == before
    edit(copy, r"  string share_id = 3;\n", "")
    accepted = run("--accept")
    assert accepted.exit_code == 0
    assert PUBLIC in topics_in(accepted.output)
    assert run().exit_code == 0


def test_a_commit_can_be_the_baseline(copy: Path, run: Run) -> None:
    def git(*arguments: str) -> None:
        author = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
        subprocess.run(["git", *author, *arguments], cwd=copy, check=True, capture_output=True)

    git("init", "--quiet")
    git("add", "protos", "buf.yaml")
    git("commit", "--quiet", "--message=contracts")
    (copy / breaking.BASELINE).unlink()
    assert run("--against", "HEAD").exit_code == 0
    edit(copy, r"  string share_id = 3;\n", "")
    result = run("--against", "HEAD")
    assert result.exit_code == 1
    assert PUBLIC in topics_in(result.output)
    missing = run("--against", "v0")
    assert (missing.exit_code, "v0" in missing.output) == (1, True)


def test_what_cannot_be_compared_says_why(copy: Path, run: Run) -> None:
    assert run("--accept", "--against", "HEAD").exit_code == 2
    baseline = copy / breaking.BASELINE
    baseline.write_bytes(b"no image")
    assert run().exit_code == 1
    baseline.unlink()
    assert "--accept" in run().output
    edit(copy, r"string share_id = 3;", "string share_id;")
    result = run()
    assert result.exit_code == 1
    assert "events.proto" in result.output
