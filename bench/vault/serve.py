"""The documents service as the bench of the vault runs it: in a consumer group of its own, so that
it takes no event from the stack's, and without a relay, so that its events wait in their outbox.
"""

import sys

from backbone import runner
from backbone.events.relay import Relay
from services.documents.service import DocumentsService


class Vault(DocumentsService):
    name = "bench-vault"


def main() -> int:
    """Serves until SIGTERM; the exit code."""
    # Never leads, and so sends nothing.
    Relay._lead_once = lambda self: self._stopping.wait()  # type: ignore[assignment,method-assign,return-value]
    return runner.run(Vault)


if __name__ == "__main__":
    sys.exit(main())
