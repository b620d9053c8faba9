"""What lesson 07 asks before a cell is run."""

from __future__ import annotations

from rpclab.course.question import Option, Question

PREDICTIONS = (
    Question(
        id="07-who-answers",
        asks="Two server processes consume from the queue `fibonacci`. A client sends four requests at once. How many "
             "servers take part, and how many deliveries are there in all?",
        options=(
            Option(
                "Both take part, 4 deliveries: each request goes to one of them.", (2, 4),
                "The consumers of a queue share its messages. The client need not know how many there are.",
            ),
            Option(
                "Both take part, 8 deliveries: each request goes to both.", (2, 8),
                "That is what two queues do that are bound to the same exchange, one for each server. Here is one "
                "queue, and a message is taken from it once.",
            ),
            Option(
                "One takes part, 4 deliveries: the second is for when the first has died.", (1, 4),
                "A second consumer is no reserve. As soon as it is there it gets its turn.",
            ),
        ),
        happens=(2, 4),
    ),
    Question(
        id="07-greedy-shares",
        asks="Six requests, for two workers without a prefetch limit. The first request takes a second and a half, the "
             "others no time at all. How many does each of the two do?",
        options=(
            Option(
                "One does 1, the other 5: who is free gets the next.", [1, 5],
                "The broker cannot see who is free. It sees who may still be sent something, and without a limit that "
                "is everybody, always.",
            ),
            Option(
                "Each does 3: they are dealt out in turn.", [3, 3],
                "All six are sent out at once, one here, one there, before anybody knows that the first is long. Two "
                "short ones lie behind it, with a worker that cannot get to them.",
            ),
            Option(
                "One does all 6: it was there first, and has no limit.", [6],
                "Having no limit means that a worker may be sent everything. The broker still takes turns.",
            ),
        ),
        happens=[3, 3],
    ),
)
