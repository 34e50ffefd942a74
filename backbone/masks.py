"""Partial updates: which fields of a request are to be set (AIP-134, AIP-161)."""

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.field_mask_pb2 import FieldMask

from backbone.errors import InvalidInput


class Update(Protocol):
    """A request with a mask."""

    @property
    def update_mask(self) -> FieldMask: ...

    def ListFields(self) -> Sequence[tuple[FieldDescriptor, Any]]: ...  # noqa: N802


def wanted(request: Update, fields: Collection[str]) -> set[str]:
    """Those of `fields` that the mask names, or, where it names none, that the request has.

    Raises:
        InvalidInput: the mask names another field.
    """
    named = set(request.update_mask.paths)
    if not named <= set(fields):
        raise InvalidInput.field("update_mask", "FIELDS", f"may hold {', '.join(fields)}")
    return named or {described.name for described, _ in request.ListFields()} & set(fields)
