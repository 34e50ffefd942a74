"""Ending access: recorded and told first, then done in the realm, until it is.

The order and its event are one transaction: from its commit on, every service refuses the tokens
of before, whether the realm answers or not. Then the realm is told, so that it gives no new ones,
and what it may have given in between is ended once more. A crash anywhere leaves either nothing
or an order that the next process finds.
"""

import logging
from datetime import UTC, datetime, timedelta

from administration.identity.v1 import events_pb2

from backbone.database import Transactions
from backbone.ended import Kind
from backbone.errors import InvalidInput, NotFound, Unavailable
from backbone.events import Publisher
from services.identity.orders import Action, OrderRow, Orders
from services.identity.realm import LiveSession, RealmDirectory

log = logging.getLogger(__name__)

KINDS = {
    Action.END_SESSION: Kind.SESSION,
    Action.END_SESSIONS: Kind.ACCOUNT,
    Action.DISABLE_ACCOUNT: Kind.ACCOUNT,
    Action.REVOKE_CLIENT: Kind.CLIENT,
}
# Clients that the platform itself cannot do without.
OWN_CLIENTS = frozenset({"identity", "documents", "notifications", "exchange", "gateway"})


def ended(kind: Kind, subject_id: str, end_time: datetime) -> events_pb2.AccessEnded:
    """The event that every service refuses tokens by."""
    event = events_pb2.AccessEnded(
        subject_id=subject_id, kind=events_pb2.AccessKind.ValueType(kind)
    )
    event.end_time.FromDatetime(end_time)
    return event


class Ending:
    """What people and administrators do to sessions, accounts and clients."""

    def __init__(
        self, db: Transactions, events: Publisher, realm: RealmDirectory, leeway: int
    ) -> None:
        """`leeway`: seconds by which the realm's clock may differ from ours."""
        self._db, self._events, self._realm = db, events, realm
        self._leeway = timedelta(seconds=leeway)

    def sessions(self, account_id: str) -> list[LiveSession]:
        """A person's live sessions, without those that were ordered to end.

        Raises:
            Unavailable: the realm does not answer.
        """
        live = self._realm.sessions(account_id)
        with self._db.transaction() as session:
            gone = Orders(session).ended_sessions(account_id)
        return [each for each in live if each.session_id not in gone]

    def end_session(self, account_id: str, session_id: str, current: str) -> None:
        """Ends one of a person's sessions; one that was ended stays so. `current` is the one that
        asks: it needs no answer of the realm.

        Raises:
            NotFound: it is none of theirs. Unavailable: the realm cannot say whose it is.
        """
        with self._db.transaction() as session:
            if session_id in Orders(session).ended_sessions(account_id):
                return
        if session_id != current and not any(
            each.session_id == session_id for each in self._realm.sessions(account_id)
        ):
            raise NotFound("No such session.", reason="SESSION_NOT_FOUND")
        self._order(Action.END_SESSION, session_id, account_id, account_id)

    def end_sessions(self, account_id: str, by: str) -> None:
        """Ends all sessions that a person has by now."""
        self._order(Action.END_SESSIONS, account_id, account_id, by)

    def end_tokens(self, account_id: str) -> None:
        """Ends what an account was issued by now; its sessions are issued anew."""
        with self._db.transaction():
            self._events.publish(ended(Kind.ACCOUNT, account_id, datetime.now(UTC)))

    def disable(self, account_id: str, by: str) -> None:
        """Ends an account's access until it is enabled.

        Raises:
            InvalidInput: it is the caller's own.
        """
        if account_id == by:
            raise InvalidInput.field("account_id", "ONESELF", "must be another account")
        self._order(Action.DISABLE_ACCOUNT, account_id, account_id, by)

    def close(self, account_id: str) -> None:
        """Ends the access of a person who asks for it themselves."""
        self._order(Action.DISABLE_ACCOUNT, account_id, account_id, account_id)

    def enable(self, account_id: str, by: str) -> None:
        """Lets a disabled account sign in again."""
        with self._db.transaction() as session:
            Orders(session).add(Action.ENABLE_ACCOUNT, account_id, account_id, by)

    def revoke_client(self, client_id: str, by: str) -> None:
        """Ends a client's access.

        Raises:
            InvalidInput: it is one of the platform's own. NotFound: the realm has no such client.
            Unavailable: the realm does not answer.
        """
        if client_id in OWN_CLIENTS:
            raise InvalidInput.field("client_id", "OWN_CLIENT", "is one of the platform's own")
        if self._realm.client_key(client_id) is None:
            raise NotFound("No such client.", reason="CLIENT_NOT_FOUND")
        self._order(Action.REVOKE_CLIENT, client_id, None, by)

    def _order(self, action: Action, subject_id: str, account_id: str | None, by: str) -> None:
        with self._db.transaction() as session:
            self._tell(Orders(session).add(action, subject_id, account_id, by))

    def carry_out(self) -> bool:
        """Does one order in the realm; true when there was one that is done."""
        with self._db.transaction() as session:
            order = Orders(session).claim()
            if order is None:
                return False
            try:
                self._do(order)
            except NotFound:
                log.info("order %d: the realm no longer has its subject", order.order_id)
            except Unavailable:
                log.warning("order %d: the realm does not answer", order.order_id)
                order.failed()
                # What the realm has given since the last time is ended too.
                self._tell(order)
                return False
            self._tell(order)
            order.done_time = datetime.now(UTC)
        return True

    def _do(self, order: OrderRow) -> None:
        subject = order.subject_id
        if order.action == Action.END_SESSION:
            self._realm.end_session(subject)
        elif order.action == Action.END_SESSIONS:
            self._end_all(subject, order.create_time)
        elif order.action == Action.DISABLE_ACCOUNT:
            self._realm.set_enabled(subject, enabled=False)
            self._end_all(subject, datetime.max.replace(tzinfo=UTC))
        elif order.action == Action.ENABLE_ACCOUNT:
            self._realm.set_enabled(subject, enabled=True)
        elif (key := self._realm.client_key(subject)) is not None:
            self._realm.disable_client(key)

    def _end_all(self, account_id: str, until: datetime) -> None:
        """Ends the sessions that began until then, and says so of each: whoever signs in after
        keeps theirs.
        """
        for each in self._realm.sessions(account_id):
            if each.start_time <= until:
                self._events.publish(ended(Kind.SESSION, each.session_id, datetime.now(UTC)))
                self._realm.end_session(each.session_id)

    def _tell(self, order: OrderRow) -> None:
        action = Action(order.action)
        if action is Action.ENABLE_ACCOUNT:
            return
        end_time = datetime.now(UTC)
        if action is Action.END_SESSIONS:
            # The moment that was asked for: who signed in again is not signed out.
            end_time = order.create_time
        elif action is not Action.END_SESSION:
            # Nothing new may be issued: what a clock ahead of ours has dated later, ends too.
            end_time += self._leeway
        self._events.publish(ended(KINDS[action], order.subject_id, end_time))
