"""What is known of one message: its publisher, its deliveries, what happened to it, and its replies."""

from __future__ import annotations

from dataclasses import dataclass, field

from pika import BasicProperties

from rpclab.table import shortened
from rpclab.wire.events import Link

REQUEST, REPLY, MESSAGE = "request", "reply", "message"

# What happened to a delivery. "lost" is one that was unacked when its channel or connection ended.
HELD, ACKED, AUTO_ACKED, REJECTED, REQUEUED, LOST = "held", "acked", "auto-acked", "rejected", "requeued", "lost"
REMOVED = "removed"
# What else can happen to a message.
PUBLISHED, DELIVERED, RETURNED, DEAD_LETTERED = "published", "delivered", "returned", "dead-lettered"
BACK_IN_THE_QUEUE = (REQUEUED, LOST)


@dataclass(eq=False)
class Step:
    """One thing that happened to a message.

    Attributes
    ----------
    time : float
        When it passed the tap, in seconds of ``time.monotonic()``.
    order : int
        1 for the story's first step, and so on.
    what : str
        ``published``, ``delivered``, ``acked``, ``rejected``, ``requeued``, ``lost``, ``returned`` or
        ``dead-lettered``.
    message : Message
        The message.
    who : str
        The connection that did it, or that it was delivered to; for ``dead-lettered``, the queue before.
    queue : str
        The queue that it concerns, by its real name; for a message published to an exchange, all of them.
    redelivered : bool
        For a delivery: whether it is not the first.
    link : int
        The connection's number.
    pid : int or None
        The connection's process, if the client reported it.
    cause : str
        For ``lost``: what ended, ``connection ends`` or ``channel ends``, with the broker's reason if it gave one, or
        ``broker cancels consumer``. The broker may redeliver a message before it gives the reason: until then, the
        cause is empty.
    """

    time: float
    order: int
    what: str
    message: Message
    who: str
    queue: str
    redelivered: bool = False
    link: int = 0
    pid: int | None = None
    cause: str = ""

    @property
    def auto_acked(self) -> bool:
        """For a delivery: whether it counts as acknowledged at once."""
        given = reversed(self.message.deliveries)
        return any(one.outcome == AUTO_ACKED and one.time == self.time and one.to == self.who for one in given)


@dataclass(eq=False)
class Delivery:
    """One delivery of a message to a consumer.

    Attributes
    ----------
    queue : str
        The queue it came from, by its real name.
    to : str
        The connection that got it, usually a process's name.
    time, settled : float, float or None
        When it was sent, and when its outcome was known, in seconds of ``time.monotonic()``.
    redelivered : bool
        Whether the broker marked it as redelivered.
    outcome : str
        ``held``, ``acked``, ``auto-acked``, ``rejected``, ``requeued`` or ``lost``.
    loss : Step or None
        For a lost one: the step that records it.
    link : Link or None
        The connection that it was sent on.
    channel, tag : int
        The channel, and the delivery tag that it has there.
    cancelled : bool
        Whether the broker cancelled its consumer while the delivery was unacked.
    """

    queue: str
    to: str
    time: float
    redelivered: bool
    outcome: str = HELD
    settled: float | None = None
    loss: Step | None = None
    link: Link | None = field(default=None, repr=False)
    channel: int = field(default=0, repr=False)
    tag: int = field(default=0, repr=False)
    cancelled: bool = field(default=False, repr=False)


@dataclass(eq=False)
class Message:
    """One message that was published, or delivered without its publishing being seen.

    Attributes
    ----------
    number : int
        1 for the story's first.
    name : str
        ``request 1``, ``reply to request 1``, ``message 1``: the same in each run.
    kind : str
        ``request`` (it asks for a reply), ``reply`` (it is one) or ``message``.
    publisher : str or None
        The connection that published it; None if that was not seen.
    exchange, routing_key : str
        Where it was published to.
    properties : pika.BasicProperties
        As they were published.
    body : bytes
        Its first 4,096 bytes.
    size : int
        The length of the whole body in bytes.
    time : float
        When it was published, in seconds of ``time.monotonic()``.
    deliveries : list of Delivery
        In order.
    queues : tuple of str or None
        The queues that it was put into, by their real names; None if that is not known.
    mandatory : bool
        Whether the publisher wants it back if no queue takes it.
    removed : frozenset of str
        The queues that were purged or deleted with it in them, by their real names.
    returned : str
        Why the broker returned it, for example ``NO_ROUTE``; empty if it did not.
    dead_lettered : str
        Why it was moved to another queue, for example ``rejected``; empty if it was not, or no consumer took it from
        there.
    confirmed : bool
        Whether the broker confirmed it to the publisher.
    request : Message or None
        For a reply: its request.
    replies : tuple of Message
        For a request: its replies, in order.
    repeats : Message or None
        For a request: an earlier one of the same client with the same correlation id.
    steps : list of Step
        Everything that happened to it, in order.
    """

    number: int
    name: str
    kind: str
    publisher: str | None
    exchange: str
    routing_key: str
    properties: BasicProperties
    body: bytes
    size: int
    time: float
    deliveries: list[Delivery] = field(default_factory=list)
    queues: tuple[str, ...] | None = None
    mandatory: bool = False
    removed: frozenset[str] = frozenset()
    returned: str = ""
    dead_lettered: str = ""
    confirmed: bool = False
    request: Message | None = None
    replies: tuple[Message, ...] = ()
    repeats: Message | None = None
    steps: list[Step] = field(default_factory=list)

    @property
    def queue(self) -> str:
        """The real names of `places`, as one text."""
        return ", ".join(self.places)

    @property
    def places(self) -> tuple[str, ...]:
        """The queues that it was put into or came from; if there are none, the one that its routing key names."""
        seen = dict.fromkeys([*(self.queues or ()), *(delivery.queue for delivery in self.deliveries)])
        return tuple(seen) or (() if self.exchange else (self.routing_key,))

    @property
    def deadline(self) -> float | None:
        """When it expires, in seconds of ``time.monotonic()``; None if it does not."""
        expiration = self.properties.expiration
        return self.time + int(expiration) / 1000 if expiration and expiration.isdigit() else None

    @property
    def settled(self) -> bool:
        """Whether nothing more can happen to it: no queue took it, or each queue's last delivery has ended."""
        outcomes = self._outcomes
        return bool(self.returned) or self.queues == () or (bool(outcomes) and not any(
            outcome in (None, HELD, *BACK_IN_THE_QUEUE) for outcome in outcomes
        ))

    @property
    def _outcomes(self) -> list[str | None]:
        """The outcome of each queue's last delivery; None for a queue that has not delivered it yet."""
        last = dict.fromkeys(self.queues or ()) | {delivery.queue: delivery.outcome for delivery in self.deliveries}
        return [REMOVED if queue in self.removed else outcome for queue, outcome in last.items()]

    def was_in(self, queue: str) -> bool:
        """Return whether it was delivered from a queue."""
        return any(given.queue == queue for given in self.deliveries)

    def waits_in(self, queue: str) -> bool:
        """Return whether it is ready in a queue, for the first time or again."""
        if queue in self.removed or queue not in {*(self.queues or ()), *(given.queue for given in self.deliveries)}:
            return False
        last = [given.outcome for given in self.deliveries if given.queue == queue]
        return not last or last[-1] in BACK_IN_THE_QUEUE

    def state(self, now: float) -> str:
        """Return its state at a time of ``time.monotonic()``.

        Returns
        -------
        str
            ``returned``, ``dead-lettered``, ``waiting``, ``expired``, ``held``, ``waiting again``, ``acked``,
            ``auto-acked``, ``rejected`` or ``removed`` (purged, or deleted with its queue); ``no queue`` if none
            took it, and ``published`` if nothing is known of its exchange.
        """
        if self.returned:
            return "returned"
        outcomes = self._outcomes
        if HELD in outcomes:
            return HELD
        if not outcomes:
            return "published" if self.queues is None else "no queue"
        last = outcomes[-1]
        if last is None or any(outcome in (None, *BACK_IN_THE_QUEUE) for outcome in outcomes):
            late = self.deadline is not None and now > self.deadline
            return "expired" if late else "waiting" if None in outcomes else "waiting again"
        return "dead-lettered" if self.dead_lettered else REJECTED if REJECTED in outcomes else last

    def answer(self, now: float) -> str:
        """Return how a request was answered so far; empty for other messages.

        Returns
        -------
        str
            ``pending``, ``timed out``, ``answered``, ``answered with an error``, ``answered late`` or ``answered
            N times``.
        """
        if self.kind != REQUEST:
            return ""
        if not self.replies:
            return "timed out" if self.deadline is not None and now > self.deadline else "pending"
        first = self.replies[0]
        if len(self.replies) > 1:
            return "answered twice" if len(self.replies) == 2 else f"answered {len(self.replies)} times"
        if self.deadline is not None and first.time > self.deadline:
            return "answered late"
        return "answered with an error" if first.properties.type == "error" else "answered"

    def text(self, most: int = 40) -> str:
        """Return the body as text, shortened to a length."""
        return shortened(self.body.decode(errors="backslashreplace"), most)

    def __repr__(self) -> str:
        return f"{self.name} {self.text()!r}"
