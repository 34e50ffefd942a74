"""An `ObjectStore` in memory, for unit tests alone."""

from collections.abc import Iterable, Iterator

from backbone.errors import Unavailable
from services.documents.store import CHUNK_BYTES


class MemoryStore:
    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put(self, key: str, chunks: Iterable[bytes], media_type: str) -> None:
        self.objects[key] = b"".join(chunks)

    def get(self, key: str, offset: int, length: int) -> Iterator[bytes]:
        data = self.objects.get(key, b"")[offset : offset + length]
        for start in range(0, len(data), CHUNK_BYTES):
            yield data[start : start + CHUNK_BYTES]
        if len(data) < length:
            raise Unavailable("The object store gave less than the document.")

    def delete(self, key: str) -> None:
        self.objects.pop(key, None)
