"""How a document is cut into parts, each of which is sent by itself."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes `[offset, offset + size)` of a document, and the key that they are kept under."""

    key: str
    offset: int
    size: int


def parts(document_id: str, size: int, part_bytes: int) -> list[Part]:
    """The parts of a document of `size` bytes, in their order; the keys sort likewise."""
    return [
        Part(f"{document_id}/{number:06}", offset, min(part_bytes, size - offset))
        for number, offset in enumerate(range(0, size, part_bytes))
    ]
