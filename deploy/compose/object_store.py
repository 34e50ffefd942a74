"""The object store's user of the documents service, allowed its bucket and nothing else.

It may be run again: what is there is left as it is, but for the policy and the secret.
"""

import json
import os
from pathlib import Path

from minio import MinioAdmin
from minio.credentials.providers import StaticProvider

POLICY = Path(__file__).with_name("documents-policy.json")


def main() -> None:
    """Reads BACKBONE_STORAGE_{ENDPOINT,ROOT_PASSWORD,ACCESS_KEY,SECRET_KEY}."""
    user = os.environ["BACKBONE_STORAGE_ACCESS_KEY"]
    admin = MinioAdmin(
        endpoint=os.environ["BACKBONE_STORAGE_ENDPOINT"],
        credentials=StaticProvider("operator", os.environ["BACKBONE_STORAGE_ROOT_PASSWORD"]),
        secure=False,
    )
    admin.policy_add(user, policy=json.loads(POLICY.read_text()))
    admin.user_add(user, os.environ["BACKBONE_STORAGE_SECRET_KEY"])
    if "policyName" not in json.loads(admin.user_info(user)):  # attaching it twice is an error
        admin.attach_policy([user], user=user)
    print(f"object store: the user {user} may use its bucket")


if __name__ == "__main__":
    main()
