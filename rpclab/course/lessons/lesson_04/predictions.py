"""What lesson 04 asks before a cell is run."""

from __future__ import annotations

from rpclab.course.question import Option, Question

PREDICTIONS = (
    Question(
        id="04-killed-worker",
        asks="A worker with prefetch 1 is killed with `kill -9` while it works on a request that it has not "
             "acknowledged. What becomes of the request?",
        options=(
            Option(
                "It is lost with the worker.", "lost",
                "The worker has only a copy. The broker keeps a message until it is acknowledged; what a process dies "
                "with is never the only one, unless `auto_ack` said that the broker may forget it.",
            ),
            Option(
                "It stays unacked, until somebody looks after it.", "unacked",
                "Unacked means: lent to a channel that is open. The dead process's connection is closed by its "
                "operating system, and with the channel the loan ends.",
            ),
            Option(
                "It is ready again, for any other worker.", "ready",
                "The broker sees the connection end, and puts what was unacked there back to its place in the queue, "
                "marked as redelivered.",
            ),
            Option(
                "It goes to the dead-letter queue.", "dead-lettered",
                "Only what is rejected, has expired or does not fit goes there. The message was not at fault; the "
                "worker was.",
            ),
        ),
        happens="ready",
    ),
    Question(
        id="04-auto-ack",
        asks="Three requests wait. A worker that consumes with `auto_ack=True` begins with the first, and is killed. "
             "How many are still in the queue?",
        options=(
            Option(
                "0", 0,
                "Without acknowledgements there is no prefetch limit either: all three were sent, and counted as dealt "
                "with, before the worker had begun.",
            ),
            Option(
                "2: all but the one that it worked on", 2,
                "That would be so if the worker were sent one message at a time. The prefetch limit counts unacked "
                "messages, and with `auto_ack` there are none.",
            ),
            Option(
                "3: the one that it worked on comes back", 3,
                "That is what acknowledgements are for. With `auto_ack=True` the broker forgets a message as soon as "
                "it is sent, so there is nothing that could come back.",
            ),
        ),
        happens=0,
    ),
)
