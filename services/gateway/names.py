"""Names of fields over HTTP: lowerCamelCase, as in the proto3 JSON mapping."""

import re
from functools import lru_cache

_UNDERSCORE = re.compile(r"_([a-z0-9])")


@lru_cache(maxsize=1024)
def json_path(path: str) -> str:
    """``header.size_bytes`` → ``header.sizeBytes``."""
    return _UNDERSCORE.sub(lambda found: found[1].upper(), path)
