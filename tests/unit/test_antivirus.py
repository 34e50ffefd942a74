"""clamd's protocol, against a server that answers as told: what each answer means."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from pydantic import ValidationError

from backbone.errors import Unavailable
from services.documents.antivirus import AntivirusSettings, Clamd
from services.documents.checks.pipeline import Finding

Serve = Callable[[socket.socket], None]


@contextmanager
def served(serve: Serve) -> Iterator[str]:
    """The address of a server that treats one connection as told."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            connection, _ = server.accept()
            with connection:
                serve(connection)

        thread = threading.Thread(target=run)
        thread.start()
        host, port = server.getsockname()
        yield f"{host}:{port}"
        thread.join(10)
        assert not thread.is_alive()


def clamd(address: str, **settings: float) -> Clamd:
    return Clamd(AntivirusSettings(address=address, **settings))  # type: ignore[arg-type]


def received(connection: socket.socket) -> bytes:
    """A document, as INSTREAM carries it."""
    with connection.makefile("rb") as file:
        assert file.read(10) == b"zINSTREAM\0"
        parts = []
        while size := struct.unpack("!L", file.read(4))[0]:
            parts.append(file.read(size))
    return b"".join(parts)


def answering(words: bytes, got: list[bytes] | None = None) -> Serve:
    def serve(connection: socket.socket) -> None:
        data = received(connection)
        if got is not None:
            got.append(data)
        connection.sendall(words)

    return serve


@pytest.mark.parametrize(
    ("answer", "finding"),
    [
        (b"stream: OK\0", Finding.CLEAN),
        (b"stream: Eicar-Test-Signature FOUND\0", Finding.INFECTED),
        (b"stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\0", Finding.BEYOND),
        (b"stream: Heuristics.Limits.Exceeded FOUND\0", Finding.BEYOND),
        (b"INSTREAM size limit exceeded. ERROR\0", Finding.BEYOND),
    ],
)
def test_an_answer_means_what_it_says(answer: bytes, finding: Finding) -> None:
    with served(answering(answer)) as address:
        assert clamd(address).scan([b"abc"]) is finding


def test_a_document_arrives_whole_however_it_was_cut() -> None:
    got: list[bytes] = []
    chunks = [b"a" * 700_000, b"b", b"c" * 300_000]
    with served(answering(b"stream: OK\0", got)) as address:
        clamd(address).scan(chunks)
    assert got == [b"".join(chunks)]


@pytest.mark.parametrize(
    "answer",
    [b"", b"stream: OK", b"stream: Can't allocate memory ERROR\0", b"\0", b"x" * 5000, b"OK\0"],
)
def test_an_answer_that_says_nothing_of_the_document_is_none(answer: bytes) -> None:
    with served(answering(answer)) as address, pytest.raises(Unavailable):
        clamd(address).scan([b"abc"])


def test_an_answer_before_the_end_ends_the_sending() -> None:
    answered = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"INSTREAM size limit exceeded. ERROR\0")
        answered.set()
        while connection.recv(65_536):
            pass

    def chunks() -> Iterator[bytes]:
        yield b"a"
        assert answered.wait(10)
        yield from (b"b" * 100_000 for _ in range(1000))

    with served(serve) as address:
        assert clamd(address).scan(chunks()) is Finding.BEYOND


def test_what_is_larger_than_it_may_be_sent_is_not_sent() -> None:
    def serve(connection: socket.socket) -> None:
        while connection.recv(65_536):
            pass

    with served(serve) as address:
        assert clamd(address, max_bytes=10).scan([b"a" * 6, b"b" * 6]) is Finding.BEYOND


def test_one_that_never_answers_is_given_up() -> None:
    def serve(connection: socket.socket) -> None:
        received(connection)
        while connection.recv(1):
            pass

    with served(serve) as address, pytest.raises(Unavailable):
        clamd(address, timeout=0.2).scan([b"abc"])


def test_one_that_closes_midway_is_unavailable() -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(10)

    with served(serve) as address, pytest.raises(Unavailable):
        clamd(address).scan(b"a" * 100_000 for _ in range(1000))


def test_one_that_is_not_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = "{}:{}".format(*server.getsockname())
    away = clamd(address)
    assert "does not answer" in str(away.missing())
    with pytest.raises(Unavailable):
        away.scan([b"abc"])
    assert "does not answer" in str(clamd("unix:/nowhere/clamd.sock").missing())


def test_one_that_is_there_answers() -> None:
    def pong(connection: socket.socket) -> None:
        assert connection.recv(10) == b"zPING\0"
        connection.sendall(b"PONG\0")

    with served(pong) as address:
        assert clamd(address).missing() is None


@pytest.mark.parametrize("address", ["", "clamd", "clamd:", "unix:clamd.sock", "clamd:port"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="neither host:port nor unix:/path"):
        AntivirusSettings(address=address)
