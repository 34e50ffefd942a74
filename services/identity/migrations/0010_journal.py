"""The journal of accesses: a chain of lines, whose content may be forgotten and never altered."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.create_table(
        "journal_lines",
        sa.Column("number", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("person_id", sa.UUID(), nullable=True),
        sa.Column("record", sa.String(), nullable=True),
        sa.Column("salt", sa.LargeBinary(), nullable=True),
        sa.Column("commitment", sa.LargeBinary(), nullable=False),
        sa.Column("record_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.Column("seal", sa.String(), nullable=False),
    )
    op.create_index("journal_of_person", "journal_lines", ["person_id", "number"])
    op.execute(
        "CREATE FUNCTION refuse_journal_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF TG_OP = 'UPDATE' AND NEW.record IS NULL AND NEW.salt IS NULL"
        " AND NEW.person_id IS NULL"
        " AND (NEW.number, NEW.commitment, NEW.record_time, NEW.head, NEW.seal)"
        " = (OLD.number, OLD.commitment, OLD.record_time, OLD.head, OLD.seal)"
        " THEN RETURN NEW; END IF;"
        " RAISE EXCEPTION 'journal_lines is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON journal_lines"
        " FOR EACH ROW EXECUTE FUNCTION refuse_journal_change()"
    )
    op.execute(
        "CREATE TRIGGER append_only_truncate BEFORE TRUNCATE ON journal_lines"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_journal_change()"
    )
