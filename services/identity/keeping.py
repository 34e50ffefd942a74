"""What is done to an owner's keys, with its event, in one transaction."""

import uuid
from datetime import UTC, datetime

from administration.identity.v1 import events_pb2

from backbone.database import Transactions
from backbone.events import Publisher
from services.identity.keyring import Keyring
from services.identity.masters import Masters


class Keeping:
    """Renews and destroys owners' keys."""

    def __init__(self, db: Transactions, events: Publisher, masters: Masters) -> None:
        self._db, self._events, self._masters = db, events, masters

    def renew(self, owner_id: str) -> uuid.UUID:
        """Gives an owner a newer key, by which the services then wrap what they keep.

        Raises:
            Gone: the owner's keys were destroyed.
        """
        with self._db.transaction() as session:
            key_id = Keyring(session, self._masters).renew(owner_id)
            event = events_pb2.KeyRenewed(owner_id=owner_id, key_id=str(key_id))
            event.renew_time.FromDatetime(datetime.now(UTC))
            self._events.publish(event)
        return key_id

    def destroy(self, owner_id: str) -> bool:
        """Destroys an owner's keys: what they protect is unreadable from then on, for good. No
        new key is ever made for the owner. False when that was done before.
        """
        with self._db.transaction() as session:
            key_ids = Keyring(session, self._masters).destroy(owner_id)
            if key_ids is None:
                return False
            event = events_pb2.KeyDestroyed(owner_id=owner_id, key_ids=map(str, key_ids))
            event.destroy_time.FromDatetime(datetime.now(UTC))
            self._events.publish(event)
        return True
