"""A request in flight: what the client has sent, and what the broker has said about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rpclab.errors import LabError
from rpclab.rpc.future import RpcFuture
from rpclab.rpc.reliability.stream import Parts

if TYPE_CHECKING:
    from pika.adapters.select_connection import _Timeout


@dataclass(eq=False, slots=True)
class SentRequest:
    """One request from its submission to its end.

    Attributes
    ----------
    call : RpcFuture
        The future that waits for the outcome.
    body : bytes
        What is sent.
    reply_to : str or None
        The queue of another consumer that gets the reply: the request is over when the broker has taken it. None if
        this client waits for the reply.
    content_type : str or None
        What the body is.
    headers : mapping
        Headers of each copy that is sent.
    persistent : bool
        Whether it should outlive a restart of the broker: it is sent with ``retry``, or its consumer may come later.
    parts : Parts or None
        The replies, if there may be several.
    taken : bool or None
        Whether the broker has confirmed the last copy that was sent; None if it has said nothing.
    rejected : int
        How many copies the broker has rejected.
    waited : bool
        Whether it had to wait for a connection.
    pause : float
        Seconds until a client with ``retry`` sends it again.
    unmatched : tuple of int
        How many replies without and with a correlation id matched no request before this one was submitted.
    deadline_timer, resend_timer : object
        The loop's timers for its deadline and for sending it again.
    """

    call: RpcFuture
    body: bytes
    reply_to: str | None = None
    content_type: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    persistent: bool = False
    parts: Parts | None = None
    taken: bool | None = None
    rejected: int = 0
    waited: bool = False
    pause: float = 0.0
    unmatched: tuple[int, int] = (0, 0)
    deadline_timer: _Timeout | None = None
    resend_timer: _Timeout | None = None

    @property
    def deadline(self) -> float:
        return self.call.sent + self.call.timeout

    def fail(self, reason: LabError) -> None:
        """End it with an error of its own: a shared one would collect the tracebacks of all threads that raise it."""
        self.call.set_exception(type(reason)(*reason.args))
