"""Which bytes of a document a request means."""

from backbone.errors import RangeNotSatisfiable


def resolve(offset: int, length: int, size: int) -> tuple[int, int]:
    """The first byte and the count, within a document of `size` bytes.

    A negative `offset` counts from the end; `length` 0 means up to the end.

    Raises:
        RangeNotSatisfiable: `offset` lies past the end.
    """
    start = max(0, size + offset) if offset < 0 else offset
    if start >= size:
        raise RangeNotSatisfiable(f"The document has {size} bytes.")
    available = size - start
    return start, min(length, available) if length else available
