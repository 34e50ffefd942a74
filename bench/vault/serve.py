"""The documents service as the bench of the vault runs it: in a consumer group of its own, so that
it takes no event from the stack's, and without a relay, so that its events wait in their outbox.
"""

import sys

from backbone import runner
from backbone.events.relay import Relay
from services.documents.service import DocumentsService


class Vault(DocumentsService):
    name = "bench-vault"


def _never_leads(relay: Relay) -> None:
    """Sends nothing, until it is stopped."""
    relay._stopping.wait()


def main() -> int:
    """Serves until SIGTERM; the exit code."""
    Relay._lead_once = _never_leads  # type: ignore[method-assign, assignment]
    return runner.run(Vault)


if __name__ == "__main__":
    sys.exit(main())
