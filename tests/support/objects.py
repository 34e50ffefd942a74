"""The object store, looked into past the vault."""

import io
from typing import Any

from pydantic import SecretStr

from deploy.local import storage_operator
from services.documents.s3 import StorageSettings


def operators(stack: dict[str, Any], **changes: Any) -> StorageSettings:
    """The settings of a service that is the store's operator."""
    storage = stack["storage"]
    values = {
        "endpoint": storage["endpoint"],
        "access_key": storage["root_access_key"],
        "secret_key": SecretStr(storage["root_secret_key"]),
        "bucket": storage["bucket"],
        "secure": False,
    }
    return StorageSettings(**{**values, **changes})


class Objects:
    """The documents' bucket, as the store's operator sees it."""

    def __init__(self, stack: dict[str, Any]) -> None:
        self._bucket = stack["storage"]["bucket"]
        self._client = storage_operator(stack)

    def remove(self, key: str) -> None:
        """Loses an object, with every version of it."""
        found = self._client.list_objects(
            bucket_name=self._bucket, prefix=key, include_version=True
        )
        for item in found:
            self._client.remove_object(
                bucket_name=self._bucket, object_name=key, version_id=item.version_id
            )

    def keys(self) -> set[str]:
        """Every object, hidden versions included."""
        found = self._client.list_objects(
            bucket_name=self._bucket, recursive=True, include_version=True
        )
        return {str(item.object_name) for item in found}

    def read(self, key: str) -> bytes:
        """The bytes that the store holds."""
        answer = self._client.get_object(bucket_name=self._bucket, object_name=key)
        try:
            return answer.read()
        finally:
            answer.close()
            answer.release_conn()

    def write(self, key: str, data: bytes) -> None:
        """Puts other bytes in the place of an object."""
        self._client.put_object(
            bucket_name=self._bucket, object_name=key, data=io.BytesIO(data), length=len(data)
        )
