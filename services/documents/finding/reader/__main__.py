"""Reads the document on standard input, with the module of this package that is its argument.

Standard output: the length of the text (4 bytes, big-endian), the text (UTF-8), the image (WebP).
"""

import importlib
import os
import struct
import sys

from services.documents.finding.reader import limits, sandbox


def main(module: str) -> int:
    """The exit code."""
    limits.impose()
    # In memory, as a whole: what reads it opens nothing.
    data = os.pread(0, os.fstat(0).st_size, 0)
    reader = importlib.import_module(f"services.documents.finding.reader.{module}")
    sandbox.enter()
    try:
        text, image = reader.read(data)
    except limits.CannotRead:
        return limits.NOT_READABLE
    return _tell(text, image)


def _tell(text: str, image: bytes) -> int:
    # Cut between characters.
    encoded = text.encode("utf-8", "replace")[: limits.TEXT_BYTES].decode("utf-8", "ignore")
    kept = encoded.encode()
    if 4 + len(kept) + len(image) > limits.OUTPUT_BYTES:
        image = b""
    os.write(1, struct.pack(">I", len(kept)) + kept + image)
    return 0


if __name__ == "__main__":
    # Past what an interpreter does at its end, and may not do here.
    os._exit(main(sys.argv[1]))
