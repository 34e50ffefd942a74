"""MinIO: the object store, with a key of its own so that server-side encryption works, and a user
for `documents`.
"""

import json

from minio import MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import MinioAdminException
from urllib3 import PoolManager, Timeout
from urllib3.exceptions import HTTPError

from deploy.local.paths import DATA
from deploy.local.programs import MINIO
from deploy.local.site import Site

ROOT_USER = "operator"
USER = "documents"
BUCKET = "documents"
QUARANTINE = "documents-quarantine"
FOLDER = DATA / "minio"

_RESOURCES = [f"arn:aws:s3:::{name}{rest}" for name in (BUCKET, QUARANTINE) for rest in ("", "/*")]
# Everything on its own buckets but what would undo the vault: lifting a governance lock, dropping
# a bucket.
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["s3:*"],
            "Resource": _RESOURCES,
        },
        {
            "Effect": "Deny",
            "Action": ["s3:BypassGovernanceRetention", "s3:DeleteBucket", "s3:ForceDeleteBucket"],
            "Resource": _RESOURCES,
        },
    ],
}


def command(site: Site) -> tuple[str, ...]:
    """The server, in the foreground, on loopback only."""
    return (
        str(MINIO.home / "minio"),
        "server",
        "--quiet",
        "--address",
        site.address("minio"),
        str(FOLDER),
    )


def environment(site: Site) -> dict[str, str]:
    """The root account and the encryption key; no console, no call home."""
    return {
        "MINIO_ROOT_USER": ROOT_USER,
        "MINIO_ROOT_PASSWORD": site.secrets["minio_root"],
        "MINIO_KMS_SECRET_KEY": site.secrets["minio_kms"],
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }


def prepare() -> None:
    """Make the folder of the objects."""
    FOLDER.mkdir(parents=True, exist_ok=True)


def healthy(site: Site) -> str | None:
    """Healthy when its administrator is answered: it says it is ready before its accounts are."""
    try:
        _admin(site).policy_list()
    except (MinioAdminException, HTTPError) as error:
        return str(error)
    return None


def provision(site: Site) -> None:
    """The user of the documents service, allowed its bucket and nothing else. The service makes the
    bucket.
    """
    admin = _admin(site)
    admin.policy_add(USER, policy=POLICY)
    admin.user_add(USER, site.secrets["minio_documents"])
    if "policyName" not in json.loads(admin.user_info(USER)):  # attaching it twice is an error
        admin.attach_policy([USER], user=USER)


def _admin(site: Site) -> MinioAdmin:
    return MinioAdmin(
        endpoint=site.address("minio"),
        credentials=StaticProvider(ROOT_USER, site.secrets["minio_root"]),
        secure=False,
        http_client=PoolManager(timeout=Timeout(5), retries=False),
    )
