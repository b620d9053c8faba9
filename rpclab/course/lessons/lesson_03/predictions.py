"""What lesson 03 asks before a cell is run."""

from __future__ import annotations

from rpclab.course.question import Option, Question

PREDICTIONS = (
    Question(
        id="03-failed-callback",
        asks="The callback acknowledges a message first and then, in its next line, raises `NameError`. What has "
             "become of the message?",
        options=(
            Option(
                "It is ready again: the callback has failed.", "waiting again",
                "The broker knows nothing of callbacks, and never learns that one has failed. It knows of "
                "acknowledgements, and it got one.",
            ),
            Option(
                "It is unacked, as long as the connection is open.", "held",
                "It was, until the acknowledgement. That was sent at once, in the line before the error, and an error "
                "calls nothing back.",
            ),
            Option(
                "It is gone.", "acked",
                "An acknowledgement says: forget it. What the program does afterwards is its own affair.",
            ),
        ),
        happens="acked",
    ),
    Question(
        id="03-who-has-them",
        asks="A program has called `basic_consume`, without a prefetch limit, and then does nothing more: it gives "
             "pika no chance to read. Ten requests are published. How many of them are ready, that is, still to be had "
             "by somebody else?",
        options=(
            Option(
                "10: nobody has read any of them", 10,
                "Ready means that the broker has not sent it. Whether the program reads what it was sent makes no "
                "difference; it may lie in the connection for hours.",
            ),
            Option(
                "9: the consumer has one, and the others wait their turn", 9,
                "That would be a prefetch count of 1, and nobody has set one. The default is no limit at all.",
            ),
            Option(
                "0: all of them have been sent to the consumer", 0,
                "Push means that the broker sends as soon as there is something and the limit allows it. Without a "
                "limit that is everything, and a second consumer finds nothing.",
            ),
        ),
        happens=0,
    ),
)
