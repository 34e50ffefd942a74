"""Loads ``exotic.proto`` into the pool, as `make protos` would."""

import tempfile
from importlib.resources import files
from pathlib import Path

from google.api import annotations_pb2
from google.protobuf import (
    descriptor_pool,
    duration_pb2,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc  # type: ignore[import-untyped]

from backbone.protos import TARGET

# The files that it imports have to be in the pool first.
_IMPORTED = (annotations_pb2, duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2)


def _load() -> None:
    assert all(module.DESCRIPTOR is not None for module in _IMPORTED)
    here = Path(__file__).parent
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "exotic.binpb"
        code = protoc.main(
            [
                "protoc",
                f"-I{here}",
                f"-I{TARGET / 'include'}",
                f"-I{files('grpc_tools') / '_proto'}",
                f"--descriptor_set_out={target}",
                "exotic.proto",
            ]
        )
        assert code == 0
        (file,) = FileDescriptorSet.FromString(target.read_bytes()).file
    descriptor_pool.Default().AddSerializedFile(file.SerializeToString())


_load()
EXOTIC: Descriptor = descriptor_pool.Default().FindMessageTypeByName("exotic.v1.Exotic")
UPDATE: MethodDescriptor = descriptor_pool.Default().FindMethodByName(
    "exotic.v1.ExoticService.Update"
)
