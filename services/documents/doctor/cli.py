"""``backbone doctor storage``."""

from pathlib import Path

import click
from minio.error import S3Error

from backbone.doctor.checks import examine, tell
from backbone.settings import load
from services.documents import s3
from services.documents.doctor import claims, forms, keeping, objects
from services.documents.doctor.place import place
from services.documents.quarantine import QuarantineSettings

CHECKS = (
    *objects.CHECKS,
    *keeping.CHECKS,
    *forms.CHECKS,
    *claims.CHECKS,
    objects.CLEANED,
)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option(
    "--scratch",
    "own",
    is_flag=True,
    help="In buckets of its own, made and removed; the account must be allowed that.",
)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where a server on this machine keeps its bytes: to see what it encrypts.",
)
def storage(as_json: bool, own: bool, data: Path | None) -> None:
    """Try what the vault needs of the object store that documents is configured with.

    Objects are put under `doctor-…/` of its buckets and taken away again; what is locked is so for
    ten seconds. With the environment of documents, or with the server's root account in
    BACKBONE_STORAGE_ACCESS_KEY and _SECRET_KEY: what is refused is refused to that account.
    """
    settings, quarantine = load(s3.StorageSettings), load(QuarantineSettings)
    tried = place(settings, quarantine, scratch=own, data=data)
    tell(examine(CHECKS, tried, s3.FAILURES, _words), as_json)


def _words(error: Exception) -> str:
    # Their own sentences hold addresses that were signed.
    if isinstance(error, S3Error):
        return f"refused ({error.code})"
    return f"does not answer ({type(error).__name__})"
