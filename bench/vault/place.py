"""What the bench of the vault runs on: a schema, buckets and processes of its own."""

import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote

import psutil
import psycopg
from minio import Minio
from minio.deleteobjects import DeleteObject
from psycopg import sql

from bench import child, stack
from bench.vault.counting import Counting
from deploy.local import services, storage_operator

# Above what any document of the bench has.
MAX_BYTES = 6 * 1024**3


@dataclass(frozen=True)
class Place:
    """A vault behind a gateway, and the store under it."""

    gateway: str
    documents: psutil.Process
    # What the vault read from its store; it goes through this, which the bare client does not.
    counting: Counting | None
    store: Minio
    bare_bucket: str
    # Of the vault, in SQLAlchemy's form.
    database_url: str


@contextmanager
def prepared(running: stack.Stack, *, counted: bool) -> Iterator[Place]:
    """A gateway and a documents service on the running stack's PostgreSQL, MinIO, Keycloak, clamd
    and identity. Their events wait in an outbox that is dropped: Kafka is not measured here.
    """
    mark = f"bench-{uuid.uuid4().hex[:12]}"
    storage = running["storage"]
    store = storage_operator(running)
    with ExitStack() as opened:
        bare = opened.enter_context(_bucket(store, f"{mark}-bare"))
        for bucket in (mark, f"{mark}-quarantine"):
            opened.callback(_emptied, store, bucket)
        url = opened.enter_context(_schema(running, mark))
        counting = opened.enter_context(Counting(storage["endpoint"])) if counted else None
        documents, gateway = (child.free_address() for _ in range(2))
        vault = stack.environment(
            running,
            "documents",
            database_url=url,
            grpc_listen=documents,
            ops_listen=child.free_address(),
            otlp_endpoint="",
            storage_endpoint=counting.address if counting else storage["endpoint"],
            storage_access_key=storage["root_access_key"],
            storage_secret_key=storage["root_secret_key"],
            storage_bucket=mark,
            quarantine_bucket=f"{mark}-quarantine",
            documents_max_bytes=str(MAX_BYTES),
            # Of what is beyond the antivirus, everything else is checked all the same.
            checks_not_scanned="remark",
        )
        subprocess.run((str(services.BACKBONE), "migrate", "documents"), env=vault, check=True)
        process = opened.enter_context(
            child.running("vault", child.python("bench.vault.serve"), vault, documents)
        )
        edge = stack.environment(
            running,
            "gateway",
            documents_address=documents,
            http_listen=gateway,
            ops_listen=child.free_address(),
            otlp_endpoint="",
            transfer_timeout="1200",
        )
        opened.enter_context(
            child.running("vault-edge", services.command("gateway"), edge, gateway)
        )
        yield Place(gateway, psutil.Process(process.pid), counting, store, bare, url)


class Peak:
    """The most memory that a process held while the block ran, in bytes."""

    def __init__(self, process: psutil.Process) -> None:
        self._process, self._done = process, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.bytes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            self.bytes = max(self.bytes, self._process.memory_info().rss)


@contextmanager
def _bucket(store: Minio, name: str) -> Iterator[str]:
    store.make_bucket(bucket_name=name)
    try:
        yield name
    finally:
        _emptied(store, name)


def _emptied(store: Minio, name: str) -> None:
    """Removes a bucket with all that is in it."""
    if not store.bucket_exists(bucket_name=name):
        return
    found = store.list_objects(bucket_name=name, recursive=True, include_version=True)
    objects = [DeleteObject(str(item.object_name), item.version_id) for item in found]
    for error in store.remove_objects(bucket_name=name, delete_object_list=objects):
        raise RuntimeError(f"{name}: {error.code}")
    store.remove_bucket(bucket_name=name)


@contextmanager
def _schema(running: stack.Stack, mark: str) -> Iterator[str]:
    admin, name = running["postgres"]["url"], mark.replace("-", "_")
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    try:
        options = quote(f"-csearch_path={name}")
        yield f"{admin.replace('postgresql:', 'postgresql+psycopg:')}?options={options}"
    finally:
        with psycopg.connect(admin, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))
