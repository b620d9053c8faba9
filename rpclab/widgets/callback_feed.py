"""What arrives on a callback queue, who sent it, and who took it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import ipywidgets as widgets
from pika import spec

from rpclab.errors import LabError
from rpclab.lab import Lab, current_lab
from rpclab.table import Table
from rpclab.widgets import look
from rpclab.widgets.refresh import Refresher
from rpclab.wire.frames import Event

ROWS_SHOWN = 10
WAIT_SECONDS = 30.0


@dataclass
class Arrival:
    """One message on the queue.

    Attributes
    ----------
    number : int
        1 for the first that the feed saw.
    body : str
        The message, as text.
    sender, receiver : str or None
        The connections that published it and that it was delivered to.
    correlation_id : str or None
        As the sender set it.
    state : str
        ``waiting``, ``delivered`` or ``acknowledged``.
    """

    number: int
    body: str
    sender: str | None
    correlation_id: str | None
    receiver: str | None = None
    state: str = "waiting"


class CallbackFeed(widgets.VBox):
    """A live list of the messages on one queue. It watches the lab's connections and takes nothing from the queue.

    Parameters
    ----------
    queue : str
        The queue to watch, usually a callback queue.
    lab : Lab, optional
        The lab it belongs to; the one opened last if not given.
    """

    _unsubscribe = None

    def __init__(self, queue: str, *, lab: Lab | None = None):
        self._queue = queue
        self._lab = lab or current_lab()
        self._arrivals: list[Arrival] = []
        self._held: dict[tuple, Arrival] = {}
        self._changed = threading.Condition()
        self._table = widgets.HTML()
        super().__init__([widgets.HTML(look.title("Messages on callback queue", queue)), self._table])
        self.add_class("rpclab-card")
        self._render()
        self._refresher = Refresher(self._render)
        self._unsubscribe = self._lab.tap.subscribe(self._take)

    def wait(self, count: int, timeout: float = WAIT_SECONDS) -> CallbackFeed:
        """Return when so many messages have been acknowledged since the feed was made.

        Raises
        ------
        LabError
            If fewer are after so many seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._acknowledged() >= count, timeout):
                raise LabError(
                    f"{self._acknowledged()} of {count} messages on {self._queue!r} were acknowledged within "
                    f"{timeout:g} s. Does a callback worker consume from it? lab.queues() tells."
                )
        return self

    @property
    def results(self) -> list[str]:
        """The bodies in the order in which they arrived."""
        return [arrival.body for arrival in self.arrivals]

    @property
    def arrivals(self) -> list[Arrival]:
        """All messages that have arrived since the feed was made."""
        with self._changed:
            return list(self._arrivals)

    def close(self) -> None:
        """Remove the feed and end its thread; a second time does nothing."""
        # A feed that could not be made is closed as well, by its finalizer.
        if self._unsubscribe:
            self._unsubscribe()
            self._refresher.close()
        super().close()

    def __str__(self) -> str:
        rows = [
            {"message": a.number, "body": a.body, "from": a.sender, "to": a.receiver, "state": a.state}
            for a in self.arrivals
        ]
        return repr(Table(("message", "body", "from", "to", "state"), rows, empty="(nothing arrived yet)"))

    def __repr__(self) -> str:
        return f"CallbackFeed({self._queue!r})"

    def _acknowledged(self) -> int:
        return sum(arrival.state == "acknowledged" for arrival in self._arrivals)

    # The tap's thread calls what follows.

    def _take(self, event: Event) -> None:
        step = _STEPS.get(type(event.method))
        if step:
            with self._changed:
                if step(self, event):
                    self._changed.notify_all()
                    self._refresher.touch()

    def _published(self, event: Event) -> bool:
        if not event.from_client or event.method.exchange or event.method.routing_key != self._queue:
            return False
        self._arrive(event, event.link.name)
        return True

    def _arrive(self, event: Event, sender: str | None) -> Arrival:
        body = event.body.decode(errors="backslashreplace")
        arrival = Arrival(len(self._arrivals) + 1, body, sender, event.properties.correlation_id)
        self._arrivals.append(arrival)
        return arrival

    def _delivered(self, event: Event) -> bool:
        queue = self._lab.tap.registry.queue_of(event)
        if queue != self._queue:
            return False
        body = event.body.decode(errors="backslashreplace")
        waiting = [a for a in self._arrivals if a.state == "waiting" and a.body == body]
        same = [a for a in waiting if a.correlation_id == event.properties.correlation_id]
        arrival = same[0] if same else self._arrive(event, None)
        arrival.receiver, arrival.state = event.link.name, "delivered"
        self._held[event.link.number, event.channel, event.method.delivery_tag] = arrival
        return True

    def _settled(self, event: Event) -> bool:
        """Take note of an ack, nack or reject of one or, with ``multiple``, all deliveries up to a tag."""
        multiple = getattr(event.method, "multiple", False)
        keys = [
            key for key in self._held
            if key[:2] == (event.link.number, event.channel)
            and (key[2] == event.method.delivery_tag or (multiple and key[2] <= event.method.delivery_tag))
        ]
        for key in keys:
            requeued = not isinstance(event.method, spec.Basic.Ack) and event.method.requeue
            self._held.pop(key).state = "waiting" if requeued else "acknowledged"
        return bool(keys)

    def _closed(self, event: Event) -> bool:
        """What a connection held when it ended waits again."""
        keys = [key for key in self._held if key[0] == event.link.number]
        for key in keys:
            self._held.pop(key).state = "waiting"
        return bool(keys)

    def _render(self) -> None:
        arrivals = self.arrivals
        rows = [
            (
                str(arrival.number),
                look.text(arrival.body),
                look.text(arrival.sender or "unknown"),
                look.text(arrival.receiver or ""),
                look.state(arrival.state),
                look.short_id(arrival.correlation_id),
            )
            for arrival in reversed(arrivals[-ROWS_SHOWN:])
        ]
        said = f"{len(arrivals)} arrived." if arrivals else "Nothing arrived yet."
        if len(arrivals) > ROWS_SHOWN:
            said = f"{len(arrivals)} arrived; the last {ROWS_SHOWN} are shown."
        columns = ("#", "body", "sent by", "received by", "state", "correlation id")
        self._table.value = look.table(columns, rows) + look.note(said)


_STEPS = {
    spec.Basic.Publish: CallbackFeed._published,
    spec.Basic.Deliver: CallbackFeed._delivered,
    spec.Basic.Ack: CallbackFeed._settled,
    spec.Basic.Nack: CallbackFeed._settled,
    spec.Basic.Reject: CallbackFeed._settled,
    type(None): CallbackFeed._closed,
}
