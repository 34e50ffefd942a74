"""The JSON body of a request."""

import re
from typing import Any

from services.gateway.exchange import Exchange
from services.gateway.json_decoder import parse_json
from services.gateway.problems import UnsupportedMediaType

_JSON = re.compile(rb'\s*application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?;?\s*', re.IGNORECASE)


async def read(exchange: Exchange, limit: int) -> Any:
    """The value of the body; an empty body is an empty object.

    Raises:
        UnsupportedMediaType: it is not ``application/json`` in UTF-8, or is compressed.
        TooLarge: it has more than `limit` bytes.
        InvalidInput: it is not JSON.
    """
    refuse_encoded(exchange)
    media_type = exchange.headers.get(b"content-type")
    if media_type is not None and not _JSON.fullmatch(media_type):
        raise _not_json()
    body = await exchange.body(limit)
    if not body:
        return {}
    if media_type is None:
        raise _not_json()
    return parse_json(body)


def refuse_encoded(exchange: Exchange) -> None:
    """Refuses a compressed body (RFC 9110, section 15.5.16).

    Raises:
        UnsupportedMediaType: a content coding was applied.
    """
    coding = exchange.headers.get(b"content-encoding", b"identity").strip().lower()
    if coding not in {b"identity", b""}:
        raise UnsupportedMediaType(
            "Content codings are not supported: send the body as it is.",
            [(b"accept-encoding", b"identity")],
        )


def _not_json() -> UnsupportedMediaType:
    return UnsupportedMediaType(
        "The body has to be application/json, in UTF-8.", [(b"accept", b"application/json")]
    )
