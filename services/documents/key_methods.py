"""What documents does about its owners' keys."""

from collections.abc import Callable

from administration.identity.v1.events_pb2 import KeyDestroyed, KeyRenewed

from backbone.database import Transactions
from backbone.events import Received, subscribe
from backbone.loops import loop
from services.documents.contents import Contents
from services.documents.keys import OwnerKeys
from services.documents.renewal import KeyChanges


class KeyMethods:
    """A part of `DocumentsService`, whose dependencies it uses."""

    db: Transactions
    keys: OwnerKeys
    _contents: Callable[[], Contents]

    @subscribe(KeyRenewed)
    def on_key_renewed(self, event: Received[KeyRenewed]) -> None:
        with self.db.transaction() as session:
            KeyChanges(session).renewed(event.data.owner_id, event.data.key_id)

    @subscribe(KeyDestroyed)
    def on_key_destroyed(self, event: Received[KeyDestroyed]) -> None:
        with self.db.transaction() as session:
            KeyChanges(session).destroyed(event.data.owner_id)

    @loop(every=0.5)
    def forget_keys(self) -> bool:
        """Drops the keys that were changed, whichever process heard of it, or kept too long."""
        with self.db.transaction() as session:
            self.keys.forget(KeyChanges(session).outdated(self.keys))
        return False

    @loop(every=2.0)
    def rewrap_contents(self) -> bool:
        """Has contents' keys wrapped by their owner's newest; true when more may wait."""
        with self.db.transaction() as session:
            return KeyChanges(session).rewrap(self._contents(), self.keys)
