"""The whole backbone on one machine, without Docker.

    python -m deploy.local up | down | reset | status

For tests: `up()` starts what does not run and returns the stack, `load()` reads it, and `start`,
`stop`, `restart`, `pid` and `wait_healthy` handle one component of it. Everything lives under
`.local/`, on loopback.
"""

from deploy.local.errors import StackError
from deploy.local.lifecycle import down, pid, reset, restart, start, stop, up, wait_healthy
from deploy.local.stack import Stack, kafka_settings, load, storage_operator

__all__ = [
    "Stack",
    "StackError",
    "down",
    "kafka_settings",
    "load",
    "pid",
    "reset",
    "restart",
    "start",
    "stop",
    "storage_operator",
    "up",
    "wait_healthy",
]
