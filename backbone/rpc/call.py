"""The call that a worker serves: who calls, and until when."""

import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import grpc
from nameko.containers import WorkerContext
from nameko.extensions import DependencyProvider

from backbone import acting
from backbone.acting import Acting
from backbone.errors import DeadlineExceeded
from backbone.tokens import Caller

# On the thread that serves a call, so that a client can bound what it asks in turn.
_deadline: ContextVar[float | None] = ContextVar("deadline", default=None)


class Call:
    """What a method may know of its call."""

    __slots__ = ("_acting", "_context", "_for_others", "_stands", "caller", "deadline", "stopping")

    def __init__(
        self,
        caller: Caller | None,
        context: grpc.ServicerContext,
        stopping: Callable[[], bool],
        stands: Callable[[Caller], bool],
        *,
        for_others: bool = False,
    ) -> None:
        """`for_others`: the method is one that can be called for another."""
        self.caller = caller
        self._for_others = for_others
        self._acting: Acting | None = None
        self._stands = stands
        self._context = context
        self.stopping = stopping
        remaining = context.time_remaining()
        # Clients without a deadline get "the end of time", which no clock can hold.
        self.deadline = (
            time.monotonic() + remaining if remaining is not None and remaining < 1e6 else None
        )

    @property
    def authenticated(self) -> Caller:
        """The caller of a method that is not public, and that nobody calls for another.

        Raises:
            RuntimeError: the method can be called for another: taking the caller for the person
                whose affairs it is about would be a mistake.
        """
        if self._for_others:
            raise RuntimeError("a method with a mandate_scope asks `acting`, not `authenticated`")
        assert self.caller is not None, "the access rule let nobody in without a token"
        return self.caller

    @property
    def acting(self) -> Acting:
        """Who calls a method that is not public, and whose affairs it is about."""
        assert self.caller is not None, "the access rule let nobody in without a token"
        return self._acting or Acting(self.caller, self.caller.subject)

    def active(self) -> bool:
        """False once the caller has gone or its access has ended, or the service is stopping."""
        stands = self.caller is None or self._stands(self.caller)
        return self._context.is_active() and stands and not self.stopping()

    def on_end(self, callback: Callable[[], None]) -> None:
        """Calls `callback` when the call ends for whatever reason; at once if it has."""
        if not self._context.add_callback(callback):
            callback()

    def cancel(self) -> None:
        """Ends the call from another thread, even while it waits for its caller to take what it
        sends: the caller is told CANCELLED. For what may not wait; a method raises.
        """
        self._context.cancel()

    def enter(self) -> None:
        """Makes this call's deadline the one of the current thread.

        Raises:
            DeadlineExceeded: it has passed already.
        """
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise DeadlineExceeded("The deadline passed before the call was served.")
        _deadline.set(self.deadline)
        acting.serve(None)

    def act(self, represented: Acting) -> None:
        """Makes this a call for another, and the current thread's work with it."""
        self._acting = represented
        acting.serve(represented)


def remaining(limit: float) -> float:
    """Seconds that a call made now may take: `limit`, or what the served call has left."""
    deadline = _deadline.get()
    return limit if deadline is None else max(0.001, min(limit, deadline - time.monotonic()))


class CurrentCall(DependencyProvider):  # type: ignore[misc]
    """Injects the `Call` that the worker serves; None in a worker that no call started."""

    def get_dependency(self, worker_ctx: WorkerContext) -> Any:
        return worker_ctx.data.get("call")
