"""What lesson 01 asks before a cell is run."""

from __future__ import annotations

from rpclab.course.question import Option, Question

PREDICTIONS = (
    Question(
        id="01-to-nowhere",
        asks="The broker has no queue yet. A message is published to the default exchange with the routing key "
             "`addition`, on a channel that confirms. What becomes of it?",
        options=(
            Option(
                "`basic_publish` raises an error.", "error",
                "An exchange without a fitting queue is nothing wrong to the broker: a message that nobody wants is "
                "dealt with by dropping it. Only a missing exchange is an error.",
            ),
            Option(
                "The broker makes a queue `addition` and puts it there.", "waiting",
                "Publishing never makes a queue. Whoever needs one declares it, and says with which properties.",
            ),
            Option(
                "The exchange keeps it, until somebody declares the queue.", "published",
                "Only queues keep messages. An exchange decides at once which queues get a message; if there are none, "
                "there is nobody left who has it.",
            ),
            Option(
                "It is dropped, and confirmed all the same.", "no queue",
                "A confirm says that the broker has dealt with a message, be it that it found no queue and dropped it.",
            ),
        ),
        happens="no queue",
    ),
    Question(
        id="01-declared-again",
        asks="One message waits in the durable queue `addition`. The same `queue_declare` is run a second time. What "
             "then?",
        options=(
            Option(
                "The queue is made anew, and is empty.", 0,
                "To declare is to make sure that there is a queue, not to make one. If it were otherwise, each program "
                "that starts would empty the queues of all others.",
            ),
            Option(
                "Nothing changes: the message is still there.", 1,
                "The queue exists, with the same properties, and that is all that was asked for. So the sender and the "
                "receiver can both declare it, and it does not matter who comes first.",
            ),
            Option(
                "The broker refuses: there is such a queue already.", "refused",
                "It refuses only what contradicts the queue that is there, for example `durable=False`.",
            ),
        ),
        happens=1,
    ),
)
