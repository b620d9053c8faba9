"""What lesson 10 asks before a cell is run."""

from __future__ import annotations

from rpclab.course.question import Option, Question

PREDICTIONS = (
    Question(
        id="10-purge-unacked",
        asks="The queue `addition` holds three messages. A consumer has taken one of them and has not acknowledged it "
             "yet. The queue is purged. How many messages does it hold afterwards, ready and unacked together?",
        options=(
            Option(
                "0: a purge removes everything.", 0,
                "A purge removes what is ready. A message that somebody works on is lent out, and the broker does not "
                "take it back.",
            ),
            Option(
                "1: the one that the consumer has", 1,
                "It is unacked, and stays until the consumer says what became of it. If that consumer dies, the "
                "message is ready again, in a queue that was thought empty.",
            ),
            Option(
                "3: a queue in use is not purged.", 3,
                "The broker does not ask whether a queue is in use, or whether you are sure: what was ready is gone.",
            ),
        ),
        happens=1,
    ),
    Question(
        id="10-deleted-queue",
        asks="The queue `audit` is bound to the exchange `requests` with the key `add`, and to the default exchange. "
             "The queue is deleted. How many of these two bindings are left?",
        options=(
            Option(
                "0: they go with the queue.", 0,
                "A binding leads from an exchange to a queue; without the queue there is none. The exchange stays, and "
                "what is published with `add` goes to whoever else is bound.",
            ),
            Option(
                "1: the exchange `requests` keeps the one that was made by hand.", 1,
                "Who made a binding makes no difference. What is left behind when a program goes are bindings of "
                "queues that still exist.",
            ),
            Option(
                "2: messages wait there until the queue is declared again.", 2,
                "An exchange holds no messages, and no places for queues that may come. Declared again, the queue "
                "would have to be bound again.",
            ),
        ),
        happens=0,
    ),
)
