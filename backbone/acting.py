"""For whom a call is made: the person that its token names, or one whom they represent.

A call for another is made with a mandate (`backbone.mandates`). What happens within it carries who
acted, for whom and by which mandate: lines of the log, spans, and events.
"""

from contextvars import ContextVar
from dataclasses import dataclass

from backbone.tokens import Caller

# Metadata of a gRPC call, and the header of an HTTP request: whom it is made for.
METADATA, HEADER = "backbone-acting-for", "Backbone-Acting-For"


@dataclass(frozen=True, slots=True)
class Acting:
    """Who acts, and whose affairs it is about."""

    # Who calls: the token's.
    actor: Caller
    # The actor's own account, or the person or company that they represent.
    principal_id: str
    # Empty for who acts for themselves.
    mandate_id: str = ""

    @property
    def administration(self) -> str:
        """Whose rights as an administration count: none, for who represents somebody."""
        return "" if self.mandate_id else self.actor.administration

    @property
    def identifiers(self) -> dict[str, str]:
        """What tells of a call for another: names as CloudEvents allows them, and identifiers."""
        if not self.mandate_id:
            return {}
        return {
            "actorid": self.actor.subject,
            "principalid": self.principal_id,
            "mandateid": self.mandate_id,
        }


# On the thread that serves a call.
_served: ContextVar[Acting | None] = ContextVar("acting", default=None)


def serve(acting: Acting | None) -> None:
    """Makes it what this thread does now; None for nothing that is done for another."""
    _served.set(acting)


def identifiers() -> dict[str, str]:
    """`Acting.identifiers` of the call that this thread serves; empty where it serves none, or
    none for another.
    """
    acting = _served.get()
    return acting.identifiers if acting is not None else {}
