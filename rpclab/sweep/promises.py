"""What must be true of every run, with any fault at any frame.

- Each call ends in its own answer or in a named error, within its deadline. The error says what is true: that the
  connection was lost, that no broker answers, or that no reply came.
- A call is answered despite a killed worker, a server's cut connection and a frozen one. With ``retry``, it is also
  answered despite its own cut connection.
- The next call of the same client is answered.
- No request is acknowledged before the broker has confirmed its reply.
- The work was done at least once where an answer came. It was done once for each time that the client sent the request,
  and once in all with ``remember``; once more for each worker that ended after the work and before the confirm of its
  reply, or with ``remember`` of its record.
- Afterwards, nothing is unacked or ready in the queue, and no process, connection or queue is left.

What a run cannot promise:

- TCP loses no single frame, so AMQP has no answer to it: a program whose ``declare`` is never answered waits until its
  connection ends. So after a dropped frame, a worker that does not go on may be replaced, and the client waits until
  its timeout. The report counts such replacements as ``replaced``.
- A worker that is killed after the work and before it remembers it makes the work happen again.
"""

from __future__ import annotations

import threading

from rpclab.errors import BrokerUnavailable, ConnectionLost, LabError, RpcTimeout
from rpclab.story.story import Story
from rpclab.sweep.cases import CUT_CLIENT, DROP, Case, Setup
from rpclab.sweep.server import MEMORY_STREAM, QUEUE, answer
from rpclab.wire.messages import ACKED, HELD, REPLY, REQUEST, Message, Step

GRACE_SECONDS = 1.5
TRUE_ERRORS = (RpcTimeout, ConnectionLost, BrokerUnavailable)
ANSWERED = "answered"


class Outcome:
    """How one call ended.

    Attributes
    ----------
    said : str
        ``answered``, or the error's kind.
    seconds : float
        How long it took.
    broken : list of str
        The promises that it broke.
    """

    def __init__(self, body: str, result: object, seconds: float, deadline: float):
        self.said = ANSWERED if not isinstance(result, BaseException) else type(result).__name__
        self.seconds = seconds
        self.broken: list[str] = []
        if self.said == ANSWERED and result != answer(body):
            self.broken.append(f"the call got {result!r} instead of {answer(body)!r}")
        if self.said != ANSWERED and not (isinstance(result, LabError) and type(result) in TRUE_ERRORS):
            self.broken.append(f"the call ended in {self.said}: {result}")
        if seconds > deadline + GRACE_SECONDS:
            self.broken.append(f"the call took {seconds:.2f} s, and its deadline was {deadline:g} s")


def must_be_answered(case: Case) -> bool:
    """Return whether the call of a case may not end in an error."""
    return case.fault != DROP and (case.fault != CUT_CLIENT or case.setup.retry is not None)


def acknowledged_too_early(story: Story) -> list[str]:
    """Return a list that grows by each request that is acknowledged before its reply is confirmed."""
    found = []

    def take(step: Step) -> None:
        message = step.message
        if step.what != ACKED or message.kind != REQUEST:
            return
        wanted = message.properties.reply_to
        replies = [reply for reply in (message.repeats or message).replies if reply.routing_key == wanted]
        if not any(reply.confirmed for reply in replies):
            known = "its reply was not confirmed yet" if replies else "no reply to it had been published"
            found.append(f"{step.who} acknowledged {message.name} when {known}")

    story.listen(take)
    return found


def held(story: Story) -> list[str]:
    """Return the requests that a server has not acknowledged yet, as far as the tap knows."""
    return [
        message.name for message in story.messages
        if message.routing_key == QUEUE and any(delivery.outcome == HELD for delivery in message.deliveries)
    ]


class Work:
    """Counts how often a request's work may be done.

    Parameters
    ----------
    setup : Setup
        The options.
    story : Story
        The story of the run.
    body : str
        The request.
    """

    def __init__(self, setup: Setup, story: Story, body: str):
        self._setup = setup
        self._story = story
        self._body = body.encode()
        self._unsure = 0
        self._lock = threading.Lock()

    def server_ends(self) -> None:
        """Record that a server will be killed now: work without a confirm may be done again."""
        with self._lock:
            self._unsure += not self._sure()

    def most(self) -> int:
        """Return how often the work may have been done by now."""
        sent = len(self._requests())
        return (1 if self._setup.remember else max(1, sent)) + self._unsure

    def _requests(self) -> list[Message]:
        return [m for m in self._story.messages if m.routing_key == QUEUE and m.body == self._body]

    def _sure(self) -> bool:
        """Return whether the work is remembered; a server remembers it before it replies."""
        if not self._setup.remember:
            return False
        ids = {message.properties.correlation_id for message in self._requests()}
        telling = [
            message for message in self._story.messages
            if message.kind == REPLY or message.routing_key == MEMORY_STREAM
        ]
        return any(message.confirmed for message in telling if message.properties.correlation_id in ids)
