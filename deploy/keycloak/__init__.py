"""The realm as code: `realm.json` is what runs in production, `development.json` what is added to
it on a laptop, `upstream.json` an identity provider such as FranceConnect.

All hold `${BACKBONE_…}` where a deployment has its own value (`backbone.realm.code`). No secret and
no password is written in any of them.
"""

from collections.abc import Mapping
from pathlib import Path

from backbone.realm.code import Document, read, render

FOLDER = Path(__file__).parent
DEVELOPMENT = "development"


def development_realm(values: Mapping[str, str]) -> Document:
    """The realm of a development machine: the overlay on the base, every placeholder replaced from
    `values`.
    """
    realm: Document = render(read(FOLDER, (DEVELOPMENT,)), values)
    return realm
