"""The tables that events need in the schema of each service that publishes or subscribes."""

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

metadata = MetaData()

# Published in a transaction, not yet acknowledged by Kafka.
outbox = Table(
    "outbox",
    metadata,
    # Replaced by the trigger below, whatever is given.
    Column("position", BigInteger, primary_key=True, server_default=text("0")),
    Column("topic", String(249), nullable=False),
    Column("key", String, nullable=False),
    Column("attributes", JSONB, nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# Events whose effect is in the database: each is applied once.
inbox = Table(
    "inbox",
    metadata,
    Column("event_id", UUID(as_uuid=True), primary_key=True),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# Events whose handler failed, and every later one of the same key, in order.
parked = Table(
    "parked",
    metadata,
    Column("position", BigInteger, Identity(), primary_key=True),
    Column("topic", String(249), nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("key", String, nullable=False),
    Column("headers", JSONB, nullable=False),
    Column("data", LargeBinary),
    # What the last attempt failed with; empty when it only waits behind another one.
    Column("cause", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_attempt_time", DateTime(timezone=True), nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("topic", "partition", "offset"),
    Index("parked_by_key", "topic", "key", "position"),
)

# Events that will not be applied, with the cause.
dead_letters = Table(
    "dead_letters",
    metadata,
    Column("topic", String(249), primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("offset", BigInteger, primary_key=True),
    Column("key", String),
    Column("headers", JSONB, nullable=False),
    Column("data", LargeBinary),
    Column("cause", Text, nullable=False),
    Column("create_time", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# An event's position is taken under a lock of its key, held to the end of the transaction: of two
# transactions on one key the one that commits first has the lower position. Keys share 1,024
# locks, so a large transaction cannot exhaust PostgreSQL's lock table.
_TRIGGER = """
CREATE SEQUENCE outbox_position;
CREATE FUNCTION outbox_take_position() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext(TG_TABLE_SCHEMA), hashtext(NEW.key) & 1023);
    NEW.position := nextval('outbox_position');
    RETURN NEW;
END $$;
CREATE TRIGGER outbox_position BEFORE INSERT ON outbox
    FOR EACH ROW EXECUTE FUNCTION outbox_take_position();
"""


def create(connection: Connection) -> None:
    """First version of the tables, for a service's first migration."""
    metadata.create_all(connection, tables=[outbox, inbox, dead_letters])
    connection.execute(text(_TRIGGER))


def create_parked(connection: Connection) -> None:
    """The second version: events are parked by key."""
    metadata.create_all(connection, tables=[parked])
