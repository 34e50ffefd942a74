"""Messages of byte streams: the same on the wire as protobuf makes them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from administration.documents.v1 import documents_pb2
from administration.documents.v1.documents_pb2 import DepositDocumentRequest, ReadContentResponse
from administration.options.v1.options_pb2 import FieldRules
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from backbone.chunks import Chunk, deserializer, serializer
from backbone.contracts import ContractError
from services.documents.domain.chunks import ChunkReader, gathered
from services.gateway.deposit import sliced
from tests.support.schemas import BYTES, Schema, field, message

SERIALIZE = serializer(ReadContentResponse.DESCRIPTOR)
PARSE = deserializer(ReadContentResponse.DESCRIPTOR)
# Around where a length takes a byte more.
SIZES = [0, 1, 127, 128, 129, 16_383, 16_384, 2**21 - 1, 2**21]


@pytest.mark.parametrize("size", SIZES)
def test_a_chunk_is_what_protobuf_makes_of_it_and_comes_back(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)

    made = SERIALIZE(Chunk(memoryview(data)))

    assert made == ReadContentResponse(chunk=data).SerializeToString()
    back = PARSE(made)
    assert isinstance(back, Chunk)
    assert back.chunk == data
    assert back.HasField("chunk")
    assert not back.HasField("header")
    assert back.WhichOneof("part") == "chunk"


def test_other_parts_are_protobufs() -> None:
    header = ReadContentResponse(header=ReadContentResponse.Header(offset=3, length=4))
    assert PARSE(SERIALIZE(header)) == header
    end = DepositDocumentRequest(end=DepositDocumentRequest.End())
    parse = deserializer(DepositDocumentRequest.DESCRIPTOR)
    assert parse(serializer(DepositDocumentRequest.DESCRIPTOR)(end)) == end
    assert PARSE(b"") == ReadContentResponse()


@given(st.binary(max_size=12), st.binary(max_size=200))
def test_whatever_arrives_is_read_as_protobuf_reads_it(start: bytes, rest: bytes) -> None:
    for data in (start + rest, b"\x12" + start + rest, b"\x12" + bytes([len(rest)]) + rest):
        try:
            expected = ReadContentResponse.FromString(data)
        except DecodeError:
            with pytest.raises(DecodeError):
                PARSE(data)
            continue
        found = PARSE(data)
        if isinstance(found, Chunk):
            found = ReadContentResponse(chunk=bytes(found.chunk))
        assert found == expected


def test_a_chunk_in_another_allowed_form_is_understood() -> None:
    # A length with a byte too many; the field twice, of which the last counts.
    assert PARSE(b"\x12\x83\x00abc").chunk == b"abc"
    assert PARSE(b"\x12\x01a\x12\x02bc").chunk == b"bc"


def test_types_without_chunks_are_left_to_protobuf() -> None:
    of = documents_pb2.Document.DESCRIPTOR
    made = documents_pb2.Document(name="a")
    assert deserializer(of)(serializer(of)(made)) == made


def test_a_chunk_with_rules_is_a_mistake_of_the_contract() -> None:
    part = message("Part", field("chunk", BYTES, rules=FieldRules(required=True)))
    part.oneof_decl.add(name="part")
    part.field[0].oneof_index = 0
    made = Schema([part])
    with pytest.raises(ContractError, match=r"Part\.chunk.*no rules"):
        serializer(made["Part"].DESCRIPTOR)


@given(st.lists(st.binary(max_size=20)), st.integers(1, 7))
def test_gathered_chunks_are_the_same_bytes(chunks: list[bytes], count: int) -> None:
    given_chunks = [chunk for chunk in chunks if chunk]
    found = list(gathered(given_chunks, count))
    assert b"".join(found) == b"".join(given_chunks)
    assert len(found) == -(-len(given_chunks) // count)
    assert ChunkReader(found).read() == b"".join(given_chunks)


@given(st.lists(st.binary(min_size=1, max_size=20)), st.integers(1, 30))
def test_sliced_pieces_are_the_same_bytes_in_chunks_of_a_size(
    pieces: list[bytes], size: int
) -> None:
    async def arriving() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def taken() -> list[bytes]:
        return [bytes(chunk) async for chunk in sliced(arriving(), size)]

    found = asyncio.run(taken())
    assert b"".join(found) == b"".join(pieces)
    assert all(len(chunk) == size for chunk in found[:-1])
    assert all(0 < len(chunk) <= size for chunk in found)
