"""How much the reader may take, and how it ends. Both sides of it read this."""

import os
import resource

# Text that is kept, as UTF-8. Within it PostgreSQL's limit of a tsvector, 1 MiB, is never reached.
TEXT_BYTES = 256 * 1024
OUTPUT_BYTES = 512 * 1024
CPU_SECONDS = 10
MEMORY_BYTES = 512 * 1024 * 1024
PAGES = 100
# The exit code that says: this document, however often it is tried.
NOT_READABLE = 3

_LIMITS = {
    resource.RLIMIT_AS: MEMORY_BYTES,
    resource.RLIMIT_CPU: CPU_SECONDS,
    resource.RLIMIT_FSIZE: OUTPUT_BYTES,
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_NPROC: 0,
}


class CannotRead(Exception):
    """The document is damaged, or locked by a password."""


def impose() -> None:
    """Takes the limits on, for good; and gives way to whatever else the machine has to do."""
    os.nice(10)
    for name, limit in _LIMITS.items():
        resource.setrlimit(name, (limit, limit))
