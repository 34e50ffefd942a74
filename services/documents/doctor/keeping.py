"""Whether what is locked stays: versions, retention, legal hold."""

from collections.abc import Callable
from datetime import datetime, timedelta

from minio.commonconfig import COMPLIANCE, GOVERNANCE
from minio.deleteobjects import DeleteObject
from minio.error import S3Error
from minio.retention import Retention

from backbone.doctor.checks import Check, Missing, Unknown
from services.documents.doctor.place import LOCK, Place
from services.documents.locking import why_not_locking

LOCKED = "retention classes and legal holds"
MEND = (
    "a bucket gets object lock when it is made: make another one with it, on a server that has it,"
    " and copy the objects; until then use no retention classes"
)


def versions(place: Place) -> str:
    key = place.key()
    first, second = place.put(key, b"first"), place.put(key, b"second")
    if not first.version_id or first.version_id == second.version_id:
        raise Missing("a second put of a key makes no second version")
    if place.get(key, first.version_id) != b"first":
        raise Missing("an earlier version is not what was put")
    if len(place.versions(key)) != 2:
        raise Missing("the list of versions is not that of what was put")
    return "a put over an object leaves the earlier version, which can be read and listed"


def says_it_locks(place: Place) -> str:
    reason = why_not_locking(place.client, place.bucket)
    if reason:
        raise Missing(reason)
    return "the bucket has object lock"


def retention(place: Place) -> str:
    """What is under COMPLIANCE is deleted by nobody, shortened by nobody, and hidden at most."""
    key, data = place.key(), b"retained"
    version = str(place.put(key, data).version_id)
    until = place.now() + LOCK
    _retain(place, key, version, COMPLIANCE, until)
    attempts: dict[str, Callable[[], object]] = {
        "deleted": lambda: _remove(place, key, version),
        "deleted, past governance": lambda: _bypass(place, key, version),
        "shortened": lambda: _retain(place, key, version, COMPLIANCE, until - timedelta(seconds=2)),
        "weakened to governance": lambda: _retain(place, key, version, GOVERNANCE, until),
    }
    done = [name for name, attempt in attempts.items() if not _refused(attempt)]
    if place.now() > until:
        raise Unknown("the attempts took longer than the lock")
    if done:
        raise Missing(f"what is under COMPLIANCE was {', '.join(done)}")
    place.put(key, b"another")
    place.client.remove_object(bucket_name=place.bucket, object_name=key)
    if place.get(key, version) != data:
        raise Missing("what is under COMPLIANCE was overwritten")
    _retain(place, key, version, COMPLIANCE, until + timedelta(seconds=1))
    return (
        f"COMPLIANCE refuses {place.settings.access_key} to delete, shorten or weaken it; to"
        " lengthen it is allowed"
    )


def hold(place: Place) -> str:
    key = place.key()
    version = str(place.put(key, b"held").version_id)
    named = {"bucket_name": place.bucket, "object_name": key, "version_id": version}
    place.client.enable_object_legal_hold(**named)
    try:
        if not place.client.is_object_legal_hold_enabled(**named):
            raise Missing("a legal hold is taken and not kept")
        if not _refused(lambda: _remove(place, key, version)):
            raise Missing("what is under legal hold was deleted")
    finally:
        place.client.disable_object_legal_hold(**named)
    _remove(place, key, version)
    return "a legal hold refuses deletion until it is lifted"


def _retain(place: Place, key: str, version: str, mode: str, until: datetime) -> None:
    place.client.set_object_retention(
        bucket_name=place.bucket,
        object_name=key,
        config=Retention(mode, until),
        version_id=version,
    )


def _remove(place: Place, key: str, version: str) -> None:
    place.client.remove_object(bucket_name=place.bucket, object_name=key, version_id=version)


def _bypass(place: Place, key: str, version: str) -> None:
    errors = place.client.remove_objects(
        bucket_name=place.bucket,
        delete_object_list=[DeleteObject(key, version)],
        bypass_governance_mode=True,
    )
    for error in errors:
        raise PermissionError(error.code)


def _refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except (S3Error, PermissionError):
        return True
    return False


CHECKS = (
    Check("versions", versions, MEND, "object lock, undoing an operator's mistake"),
    Check("object lock", says_it_locks, MEND, LOCKED),
    Check("retention", retention, MEND, LOCKED),
    Check("legal hold", hold, MEND, LOCKED),
)
