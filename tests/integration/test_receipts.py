"""Receipts on real components: who gets one, what is proven, and what concurrency and kills do."""

import json
import os
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from administration.documents.v1 import documents_pb2
from click.testing import CliRunner, Result
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

import deploy.local
from backbone.cli import cli
from backbone.database import Base
from backbone.errors import InvalidInput, NotFound, Unavailable
from backbone.receipts import merkle, notes, stamps
from backbone.receipts.checks import Evidence, Mark, of_receipt
from services.documents.documents import DocumentRow, State
from services.documents.log import BATCH, CheckpointRow, Log, NodeRow, TimeStampRow
from services.documents.sharing.shares import ShareRow
from services.documents.signing import HttpAuthority
from tests.support import vault
from tests.support.events import Scratch
from tests.support.polling import eventually
from tests.support.realm import Person, Realm
from tests.support.receipts import MemoryLog, openssl_verifies
from tests.support.rpc import Client, refusal
from tests.support.tables import Tables

SIGNER = notes.Signer("essai.example/receipts", bytes(32))
TABLES = [row.__table__ for row in (DocumentRow, ShareRow, NodeRow, CheckpointRow, TimeStampRow)]
SHA256 = "ab" * 32


@pytest.fixture
def store(scratch: Scratch) -> Scratch:
    Base.metadata.create_all(scratch.engine, tables=TABLES)  # type: ignore[arg-type]
    with scratch.engine.begin() as connection:
        statement = "CREATE UNIQUE INDEX ON documents (leaf_index) WHERE leaf_index IS NOT NULL"
        connection.execute(text(statement))
    return scratch


def document() -> DocumentRow:
    return DocumentRow(
        document_id=uuid.uuid4(), owner_id=uuid.uuid4(), name="acte.pdf",
        media_type="application/pdf", size_bytes=3, sha256=SHA256, owner_key_id=uuid.uuid4(),
        sealed_key=b"", state=State.AVAILABLE,
    )  # fmt: skip


def deposit(store: Scratch, count: int = 1) -> None:
    with Session(store.engine) as session, session.begin():
        session.add_all([document() for _ in range(count)])


def integrate(store: Scratch) -> int:
    with store.transactions.transaction() as session:
        return Log(session).integrate(SIGNER)


def judge(rows: list[tuple[uuid.UUID, int | None]], leaves: list[bytes], note: str) -> None:
    """Every document has a place, no place two, and the checkpoint is of these leaves."""
    places = sorted(place for _, place in rows if place is not None)
    assert places == list(range(len(rows)))
    assert len(leaves) == len(rows)
    judge_log(leaves, note)


def judge_log(leaves: list[bytes], note: str) -> None:
    """The checkpoint is of these leaves."""
    checkpoint = notes.read(note)
    assert checkpoint.size == len(leaves)
    _, peaks = merkle.append(0, [], leaves)
    assert merkle.joined(peaks) == checkpoint.root


# ---- the log alone --------------------------------------------------------------------------


def test_deposits_at_once_are_each_in_the_log_once(store: Scratch) -> None:
    """Eight depositors, a fifth of whose transactions are undone, and three who integrate."""
    done = threading.Event()

    def write(number: int) -> None:
        for turn in range(20):
            with Session(store.engine) as session:
                session.add(document())
                session.flush()
                if (turn + number) % 5:
                    session.commit()
                else:
                    session.rollback()

    def follow() -> None:
        while integrate(store) or not done.is_set():
            pass

    with ThreadPoolExecutor(11) as pool:
        followers = [pool.submit(follow) for _ in range(3)]
        for writer in [pool.submit(write, number) for number in range(8)]:
            writer.result(60)
        done.set()
        for follower in followers:
            follower.result(60)
    integrate(store)
    with Session(store.engine) as session:
        rows = session.query(DocumentRow.document_id, DocumentRow.leaf_index).all()
        query = session.query(NodeRow.hash).filter(NodeRow.level == 0).order_by(NodeRow.index)
        leaves = [value for (value,) in query]
        note = Log(session).checkpoint().checkpoint
        assert len(rows) == 8 * 16
        judge([(row[0], row[1]) for row in rows], leaves, note)


def test_a_deposit_that_commits_late_is_found_and_delays_nobody(store: Scratch) -> None:
    with Session(store.engine) as late:
        late.add(document())
        late.flush()
        deposit(store, 2)
        assert integrate(store) == 2
        assert integrate(store) == 0
        late.commit()
    assert integrate(store) == 1


def test_a_share_does_not_wait_for_the_log_nor_the_log_for_a_share(store: Scratch) -> None:
    deposit(store)
    with Session(store.engine) as session:
        row = session.query(DocumentRow).one()
        share = ShareRow(
            share_id=uuid.uuid4(), document_id=row.document_id, administration="caf",
            purpose="essai", expire_time=datetime.now(UTC) + timedelta(hours=1),
        )  # fmt: skip
        session.add(share)
        session.flush()
        # The share holds its document for the foreign key until it commits.
        with store.transactions.transaction() as other:
            other.execute(text("SET LOCAL lock_timeout = '2s'"))
            assert Log(other).integrate(SIGNER) == 1
        session.commit()


def test_what_is_killed_before_its_commit_leaves_nothing_and_is_done_again(store: Scratch) -> None:
    deposit(store, 3)
    with Session(store.engine) as session:
        assert Log(session).integrate(SIGNER) == 3
        # The server ends the transaction of a process that was killed just as it does this one.
        killed = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
        assert integrate(store) == 0, "another integrated at the same time"
        with store.engine.begin() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": killed})
        with pytest.raises(DatabaseError):
            session.commit()
    assert eventually(lambda: integrate(store)) == 3


def test_proofs_of_a_log_of_many_batches_hold(store: Scratch) -> None:
    for count in (1, 2, 5, BATCH + 7, 3):
        deposit(store, count)
        while integrate(store):
            pass
    with Session(store.engine) as session:
        log = Log(session)
        size = log.size()
        assert size == BATCH + 18
        note = log.checkpoint().checkpoint
        evidence = Evidence(key=SIGNER.verifier)
        for row in session.query(DocumentRow).where(DocumentRow.leaf_index % 97 == 0):
            receipt = log.receipt(row)
            assert receipt is not None
            marks = {each.step: each.mark for each in of_receipt(receipt, 3, SHA256, evidence)}
            assert marks.pop("time stamp") is Mark.OPEN
            assert set(marks.values()) == {Mark.PASSED}
        for (first,) in session.query(CheckpointRow.tree_size):
            old = session.get_one(CheckpointRow, first).note
            proof = list(log.consistency(first, 0).proof)
            assert merkle.consistent(
                first, notes.read(old).root, size, notes.read(note).root, proof
            )


def test_an_empty_log_and_sizes_that_it_has_not_are_refused(store: Scratch) -> None:
    with Session(store.engine) as session:
        with pytest.raises(NotFound):
            Log(session).checkpoint()
        deposit(store, 3)
        integrate(store)
        for first, second, field in (
            (4, 0, "first_size"),
            (1, 4, "second_size"),
            (3, 2, "first_size"),
        ):
            with pytest.raises(InvalidInput) as refused:
                Log(session).consistency(first, second)
            assert refused.value.fields[0].field == field


def test_a_receipt_keeps_to_the_first_checkpoint_that_was_stamped(store: Scratch) -> None:
    def told() -> tuple[int, bytes]:
        with Session(store.engine) as session:
            receipt = Log(session).receipt(session.query(DocumentRow).filter_by(leaf_index=0).one())
            assert receipt is not None
            return receipt.tree_size, receipt.time_stamp

    for stamped in (False, True, True):
        deposit(store)
        integrate(store)
        with store.transactions.transaction() as session:
            checkpoint = Log(session).unstamped()
            assert checkpoint is not None
            if stamped:
                Log(session).stamp(checkpoint.tree_size, b"one")
                Log(session).stamp(checkpoint.tree_size, b"two")
                assert Log(session).unstamped() is None
        assert told() == ((2, b"one") if stamped else (1, b""))


# ---- the authority --------------------------------------------------------------------------


def test_a_time_stamp_is_good_for_its_note_and_its_authority_alone(
    stack: dict[str, Any], tmp_path: Path
) -> None:
    roots = stamps.load_roots(Path(stack["authority"]["root"]))
    note, other = MemoryLog(3).checkpoint(3), MemoryLog(3).checkpoint(2)
    reply = HttpAuthority(stack["authority"]["url"], roots).stamp(note)
    assert abs(stamps.check(reply, note, roots) - datetime.now(UTC)) < timedelta(minutes=1)
    assert openssl_verifies(reply, note, stack["authority"]["root"], tmp_path)
    assert not openssl_verifies(reply, other, stack["authority"]["root"], tmp_path)
    for wrong_reply, wrong_note in (
        (reply, other),
        (reply[:-1], note),
        (reply[:-20] + bytes(20), note),
        (b"", note),
        (b"no", note),
    ):
        with pytest.raises(stamps.StampError):
            stamps.check(wrong_reply, wrong_note, roots)
    with pytest.raises(stamps.StampError):
        stamps.check(reply, note, roots, stamps.request(note))


@pytest.mark.parametrize("path", ["/healthz", "/nowhere"])
def test_an_authority_that_answers_something_else_is_unavailable(
    stack: dict[str, Any], path: str
) -> None:
    roots = stamps.load_roots(Path(stack["authority"]["root"]))
    with pytest.raises(Unavailable):
        HttpAuthority(stack["authority"]["url"] + path, roots).stamp("a note")


# ---- the service ----------------------------------------------------------------------------


def test_a_receipt_is_the_owners_and_of_those_it_is_shared_with(
    documents: Client, token: str, realm: Realm
) -> None:
    data = vault.unique_bytes()
    document_id = vault.deposit(documents, token, data).document_id
    mine = vault.receipt(documents, token, document_id)
    assert (mine.document_id, mine.sha256) == (document_id, vault.sha256(data))
    caf = realm.client_token("partner-caf")
    for other in (caf, realm.token("stranger"), realm.token("agent")):
        refused = refusal(lambda: vault.receipt(documents, other, document_id))  # noqa: B023
        assert (refused.code, refused.reason) == (grpc.StatusCode.NOT_FOUND, "DOCUMENT_NOT_FOUND")
    share = documents_pb2.ShareDocumentRequest(
        document_id=document_id, administration="caf-martinique", purpose="essai"
    )
    share.expire_time.FromDatetime(datetime.now(UTC) + timedelta(hours=1))
    documents.share_document(share, token=token)
    assert vault.receipt(documents, caf, document_id).leaf_index == mine.leaf_index


def test_the_log_tells_nothing_of_the_depositor(
    documents: Client, token: str, database: Tables
) -> None:
    document = vault.deposit(documents, token, vault.unique_bytes())
    receipt = vault.receipt(documents, token, document.document_id)
    assert document.name not in str(receipt)
    assert document.owner_id not in str(receipt)
    (leaf,) = database.rows(
        "SELECT hash FROM documents.log_nodes WHERE level = 0 AND index = %s", receipt.leaf_index
    )
    digest = bytes.fromhex(document.sha256)
    # Nobody who knows the file alone finds it in the log.
    assert leaf["hash"] not in (merkle.leaf_hash(digest), digest)
    assert len(receipt.salt) == 32


def test_the_database_refuses_to_alter_the_log(documents: Client, token: str, stack: Any) -> None:
    document_id = vault.deposit(documents, token, vault.unique_bytes()).document_id
    vault.receipt(documents, token, document_id)
    with httpx.Client(base_url=stack["gateway"], timeout=30) as client:
        assert client.get("/v1/receipts/checkpoint").status_code == 200
    engine = create_engine(stack["postgres"]["databases"]["documents"])
    for statement in (
        "UPDATE log_nodes SET hash = '\\x00' WHERE index = 0",
        "DELETE FROM log_checkpoints",
        "TRUNCATE log_time_stamps",
    ):
        with pytest.raises(DatabaseError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    engine.dispose()


class Http:
    """A citizen at the gateway, with a token of now, and `backbone verify` on what it got."""

    def __init__(
        self, stack: dict[str, Any], client: httpx.Client, token: Callable[[], str], folder: Path
    ) -> None:
        self.client, self.folder, self._token = client, folder, token
        self.root = stack["authority"]["root"]
        self.key = str(self.checkpoint()["key"])

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._token()}"}

    def deposit(self, data: bytes) -> str:
        headers = self.headers | {
            "Content-Type": "application/pdf",
            "Content-Disposition": 'attachment; filename="acte.pdf"',
        }
        answer = self.client.post("/v1/documents", content=data, headers=headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["document"]["documentId"])

    def receipt(self, document_id: str) -> dict[str, Any]:
        path = f"/v1/documents/{document_id}/receipt"

        def answered() -> httpx.Response | None:
            # For a while after a kill, the gateway may not have found the service again.
            answer = self.client.get(path, headers=self.headers)
            return answer if answer.status_code != 503 else None

        answer = eventually(answered)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def stamped(self, document_id: str) -> dict[str, Any]:
        """The receipt with its time stamp, for which an answer waits a few seconds at most."""

        def found() -> dict[str, Any] | None:
            answer = self.receipt(document_id)
            return answer if answer["receipt"]["timeStamp"] else None

        return eventually(found, within=120)

    def checkpoint(self) -> dict[str, Any]:
        # Without a token: anybody may hold the log to it.
        answer = self.client.get("/v1/receipts/checkpoint")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def consistency(self, first: int, second: int) -> dict[str, Any]:
        query = f"firstSize={first}&secondSize={second}"
        answer = self.client.get(f"/v1/receipts/consistency?{query}")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def write(self, name: str, content: Any) -> str:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return str(path)

    def verify(self, receipt: dict[str, Any], data: bytes, *options: str) -> Result:
        files = [self.write("receipt.json", receipt), self.write("file.pdf", data)]
        trusted = ["--key", self.key, "--tsa-certificate", self.root]
        return CliRunner().invoke(cli, ["verify", *files, *trusted, *options])


@pytest.fixture
def http(
    stack: dict[str, Any],
    gateway: httpx.Client,
    documents: Client,
    realm: Realm,
    person: Person,
    tmp_path: Path,
) -> Http:
    token = realm.token_of(person)
    first = vault.deposit(documents, token, vault.unique_bytes()).document_id
    vault.receipt(documents, token, first)
    return Http(stack, gateway, lambda: realm.token_of(person), tmp_path)


def test_a_deposit_is_proven_offline_with_its_time_stamp_and_the_logs_history(http: Http) -> None:
    old = http.checkpoint()
    data = vault.unique_bytes()
    answer = http.stamped(http.deposit(data))
    sizes = notes.read(old["checkpoint"]).size, int(answer["receipt"]["treeSize"])
    proof = http.write("proof.json", http.consistency(*sizes))
    kept = http.write("old.json", old)
    result = http.verify(answer, data, "--old-checkpoint", kept, "--consistency", proof)
    assert result.exit_code == 0, result.output
    assert [line[0] for line in result.output.splitlines()] == [*"✓✓✓✓✓✓", "T"]

    flipped = bytes([data[0] ^ 1, *data[1:]])
    result = http.verify(answer, flipped)
    assert result.exit_code == 1
    assert [line[0] for line in result.output.splitlines()] == [*"✓✗✓✓✓", "T"]

    other = MemoryLog(sizes[0])
    kept = http.write("old.json", {"checkpoint": other.checkpoint(sizes[0])})
    result = http.verify(answer, data, "--old-checkpoint", kept, "--consistency", proof)
    assert result.exit_code == 1
    assert "✗ consistency" in result.output

    answer["receipt"]["checkpoint"] = MemoryLog(3).checkpoint(3)
    result = http.verify(answer, data)
    assert result.exit_code == 1
    assert [line[0] for line in result.output.splitlines()] == [*"✓✓✗✗✗", "T"]


def test_a_consistency_proof_of_what_the_log_has_not_is_refused(gateway: httpx.Client) -> None:
    for query in ("firstSize=0", "firstSize=-1", "firstSize=1&secondSize=9999999", "firstSize=x"):
        answer = gateway.get(f"/v1/receipts/consistency?{query}")
        assert answer.status_code == 400, query
        assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.fixture
def authority_back() -> Iterator[None]:
    yield
    deploy.local.start("authority")


def test_without_the_authority_a_receipt_comes_without_its_stamp_and_gets_it_later(
    http: Http, authority_back: None
) -> None:
    deploy.local.stop("authority")
    data = vault.unique_bytes()
    document_id = http.deposit(data)
    answer = http.receipt(document_id)
    assert not answer["receipt"]["timeStamp"]
    result = http.verify(answer, data)
    assert result.exit_code == 1
    assert "✗ time stamp   the receipt carries none" in result.output
    deploy.local.start("authority")
    result = http.verify(http.stamped(document_id), data)
    assert result.exit_code == 0, result.output


# ---- killed ---------------------------------------------------------------------------------


@pytest.fixture
def whole_again() -> Iterator[None]:
    yield
    deploy.local.wait_healthy("documents")


def test_no_deposit_is_missing_from_the_log_when_the_service_is_killed(
    stack: dict[str, Any], http: Http, database: Tables, whole_again: None
) -> None:
    """Four depositors and five kills; then the log is rebuilt from its leaves."""
    done, lock = threading.Event(), threading.Lock()
    acknowledged: dict[str, bytes] = {}

    def write() -> None:
        while not done.is_set():
            data = vault.unique_bytes()
            try:
                document_id = http.deposit(data)
            except (AssertionError, httpx.HTTPError):
                done.wait(0.05)
                continue
            with lock:
                acknowledged[document_id] = data

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write) for _ in range(4)]
        try:
            for _ in range(5):
                before = len(acknowledged)
                eventually(lambda: len(acknowledged) > before + 10)  # noqa: B023
                os.kill(deploy.local.pid("documents"), signal.SIGKILL)
                deploy.local.wait_healthy("documents")
        finally:
            done.set()
        for writer in writers:
            writer.result(60)

    waiting = (
        "SELECT 1 FROM documents.documents WHERE state = 'CHECKING'"
        " OR state = 'AVAILABLE' AND leaf_index IS NULL"
    )
    # What kills interrupted is tried again later and later.
    eventually(lambda: not database.count(waiting), within=120)
    rows = database.rows(
        "SELECT document_id, leaf_index FROM documents.documents WHERE state = 'AVAILABLE'"
    )
    leaves = database.rows("SELECT hash FROM documents.log_nodes WHERE level = 0 ORDER BY index")
    (last,) = database.rows(
        "SELECT note FROM documents.log_checkpoints ORDER BY tree_size DESC LIMIT 1"
    )
    judge_log([row["hash"] for row in leaves], last["note"])
    # Each has a place of its own; those of documents that other tests destroyed are nobody's.
    places = [row["leaf_index"] for row in rows]
    assert len(set(places)) == len(places)
    assert set(places) <= set(range(len(leaves)))
    assert set(acknowledged) <= {str(row["document_id"]) for row in rows}
    for document_id, data in list(acknowledged.items())[::7]:
        result = http.verify(http.stamped(document_id), data)
        assert result.exit_code == 0, result.output
