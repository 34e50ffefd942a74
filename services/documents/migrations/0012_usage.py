"""Who has how much in the vault: counted by the tables themselves, in the same transaction."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"

# Where the tables are is kept with the functions: they count for who changes a row by hand, too.
_CHARGE = """
CREATE FUNCTION charge(whom text, more_bytes bigint, more_items bigint) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN
    IF whom IS NOT NULL AND (more_bytes <> 0 OR more_items <> 0) THEN
        INSERT INTO usages AS held (payer, bytes, items) VALUES (whom, more_bytes, more_items)
        ON CONFLICT (payer) DO UPDATE
        SET bytes = held.bytes + EXCLUDED.bytes, items = held.items + EXCLUDED.items;
    END IF;
END $$
"""
# What a restored version shows are another one's bytes.
_CONTENTS = """
CREATE FUNCTION count_contents() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    old_items bigint := (OLD.payer IS NOT NULL AND OLD.state <> 'REFUSED')::int;
    new_items bigint := (NEW.payer IS NOT NULL AND NEW.state <> 'REFUSED')::int;
    old_bytes bigint := old_items * COALESCE((OLD.restored_from = 0)::int * OLD.size_bytes, 0);
    new_bytes bigint := new_items * COALESCE((NEW.restored_from = 0)::int * NEW.size_bytes, 0);
BEGIN
    IF OLD.payer = NEW.payer THEN
        PERFORM charge(NEW.payer, new_bytes - old_bytes, new_items - old_items);
    ELSE
        PERFORM charge(OLD.payer, -old_bytes, -old_items);
        PERFORM charge(NEW.payer, new_bytes, new_items);
    END IF;
    RETURN NULL;
END $$
"""
_UPLOADS = """
CREATE FUNCTION count_uploads() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN
    PERFORM charge(OLD.payer, -OLD.size_bytes, -1);
    PERFORM charge(NEW.payer, NEW.size_bytes, 1);
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "usages",
        sa.Column("payer", sa.String(), primary_key=True),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("items", sa.BigInteger(), nullable=False),
        sa.Column("max_bytes", sa.BigInteger()),
        sa.Column("max_items", sa.BigInteger()),
    )
    for table in ("documents", "uploads"):
        op.add_column(table, sa.Column("payer", sa.String()))
    for statement in (_CHARGE, _CONTENTS, _UPLOADS):
        op.execute(statement)
    op.execute(
        "CREATE TRIGGER count_contents AFTER INSERT OR DELETE"
        " OR UPDATE OF payer, state, size_bytes, restored_from ON documents"
        " FOR EACH ROW EXECUTE FUNCTION count_contents()"
    )
    op.execute(
        "CREATE TRIGGER count_uploads AFTER INSERT OR DELETE ON uploads"
        " FOR EACH ROW EXECUTE FUNCTION count_uploads()"
    )
    # Who is an agent, of which administration, is not known of earlier deposits. What ends by
    # itself are exports, which nobody pays.
    op.execute("UPDATE documents SET payer = 'person:' || owner_id WHERE expire_time IS NULL")
