"""Whether the object store locks: what retention and legal holds stand on."""

from minio import Minio
from minio.error import S3Error

from services.documents import s3


def why_not_locking(client: Minio, bucket: str) -> str | None:
    """Why a bucket cannot hold an object against deletion; None when the server says that it can.

    Asks and changes nothing, so it is fit for a start. Whether the store does as it says,
    `backbone doctor storage` tries.

    Raises:
        Unavailable: the store does not answer.
    """
    with s3.translated():
        # Asked first: of a missing bucket too, MinIO says that it has no lock.
        if not client.bucket_exists(bucket_name=bucket):
            return f"the bucket {bucket} is missing"
        try:
            client.get_object_lock_config(bucket_name=bucket)
        except S3Error as error:
            if error.code in s3.LACKING:
                return "the object store has no object lock"
            if error.code != "ObjectLockConfigurationNotFoundError":
                raise
            return f"the bucket {bucket} was made without object lock"
        versioning = client.get_bucket_versioning(bucket_name=bucket).status
        if versioning != "Enabled":
            return f"the bucket {bucket} keeps no versions (versioning is {versioning})"
    return None
