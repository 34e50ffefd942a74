"""Whether a form takes what it says and nothing else: deposits that go straight to the store."""

import os
from collections.abc import Mapping
from datetime import timedelta

import urllib3

from backbone.doctor.checks import Check, Missing
from services.documents.doctor.place import Place
from services.documents.quarantine import Form

SIZE = 4096
UPLOADS = "uploads that go straight to the store"


def taken(place: Place) -> str:
    key, data = place.key(), os.urandom(SIZE)
    status = _send(_form(place, key), data)
    if status not in (200, 201, 204):
        raise Missing(f"a form that was signed for it is refused ({status})")
    if b"".join(place.quarantine.read([key])) != data:
        raise Missing("other bytes are there than were sent")
    return "a signed form takes the part that it names"


def bound(place: Place) -> str:
    """To its size and its key, as documents signs them."""
    form = _form(place, key := place.key())
    data = os.urandom(SIZE)
    attempts: dict[str, tuple[bytes, Mapping[str, str]]] = {
        "a byte more": (data + b"x", {}),
        "a byte less": (data[:-1], {}),
        "another key": (data, {"key": f"{key}-other"}),
        "a policy that was altered": (data, {"policy": form.fields["policy"][:-4] + "AAAA"}),
    }
    wrong = [name for name, (sent, fields) in attempts.items() if _send(form, sent, fields) < 300]
    if wrong:
        raise Missing(f"a form also takes {', '.join(wrong)}")
    return "a form is refused " + ", ".join(attempts)


def ends(place: Place) -> str:
    form = _form(place, place.key(), timedelta(seconds=-60))
    if _send(form, os.urandom(SIZE)) < 300:
        raise Missing("a form is taken after its end")
    return "a form is refused after its end"


def unread(place: Place) -> str:
    """By whoever has no key, or only a form."""
    place.put(secret := place.key(), b"secret")
    _send(_form(place, key := place.key()), os.urandom(SIZE))
    for bucket, name in ((place.bucket, secret), (place.quarantine_settings.bucket, key)):
        scheme = "https" if place.settings.secure else "http"
        url = f"{scheme}://{place.settings.endpoint}/{bucket}/{name}"
        if urllib3.request("GET", url, timeout=30.0).status < 300:
            raise Missing(f"anybody reads the bucket {bucket}")
    return "nobody reads without a key"


def _form(place: Place, key: str, lasts: timedelta = timedelta(minutes=5)) -> Form:
    return place.quarantine.form(key, SIZE, place.now() + lasts)


def _send(form: Form, data: bytes, changed: Mapping[str, str] | None = None) -> int:
    """As a browser does; the status that is answered."""
    fields: dict[str, str | tuple[str, bytes]] = {**form.fields, **(changed or {})}
    # S3 ignores what comes behind the file.
    fields["file"] = ("part", data)
    return urllib3.request("POST", form.url, fields=fields, timeout=30.0, retries=False).status


MEND = "use another server, or deposit through the gateway alone"
CHECKS = (
    Check("forms", taken, MEND, UPLOADS),
    Check("forms are bound", bound, MEND, UPLOADS),
    Check("forms end", ends, MEND, UPLOADS),
    Check("secrecy", unread, "take the anonymous policy from the buckets", "the vault"),
)
