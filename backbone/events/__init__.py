"""Events: published through an outbox, consumed through an inbox, on Kafka in between.

``self.events.publish(DocumentShared(…))`` in a transaction; ``@subscribe(DocumentShared)`` on a
method. The topic, the key and who may read it are the contract's.
"""

from backbone.events.envelope import Received
from backbone.events.publish import Events, Publisher
from backbone.events.subscribe import subscribe

__all__ = ["Events", "Publisher", "Received", "subscribe"]
