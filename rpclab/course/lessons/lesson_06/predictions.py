"""What lesson 06 asks before a cell is run."""

from __future__ import annotations

from rpclab.course.question import Option, Question

PREDICTIONS = (
    Question(
        id="06-stray-message",
        asks="A message with somebody else's correlation id lies in the hasty client's callback queue. The client asks "
             "`3,5`. The answer comes a moment later. What is in `response` when the client stops waiting?",
        options=(
            Option(
                "`8`: the stray is kept out, and the answer comes.", b"8",
                "The stray is kept out, that is true. But it was an event, and the client had asked pika to return "
                "after the next event. It stopped waiting before the answer had come.",
            ),
            Option(
                "`stray`: what comes first is taken.", b"stray",
                "That was the client before this one. This one compares the correlation ids, and does not touch what "
                "is not its own.",
            ),
            Option(
                "Nothing.", None,
                "`process_data_events` returned after the first event, which was the stray. `on_response` dropped it, "
                "so `response` is still `None`, and nobody waits for the answer that is on its way.",
            ),
            Option(
                "It does not stop waiting.", "waits",
                "It would if nothing came at all, since it has no time limit. A stray is something.",
            ),
        ),
        happens=None,
    ),
    Question(
        id="06-shared-queue",
        asks="Two clients consume from the same callback queue. One of them asks six questions, and the server answers "
             "all six. How many answers does the one that asked receive?",
        options=(
            Option(
                "6: the answers carry its correlation ids", 6,
                "To the broker a correlation id is a word on the message that it does not read. It gives a message to "
                "one of the queue's consumers, whichever is next.",
            ),
            Option(
                "6, and the other client gets six copies", "copies",
                "That would be two queues, each with a binding to the same exchange. One queue gives each message to "
                "one consumer.",
            ),
            Option(
                "3", 3,
                "The queue shares its messages among its consumers in turn. The other client gets every second "
                "answer, finds that it has not asked for it, and can only drop it.",
            ),
            Option(
                "0: the broker refuses the second consumer, and closes the channel", 0,
                "It refuses a consumer only if the queue is exclusive to another connection. That is the cure, and "
                "this queue is none of those.",
            ),
        ),
        happens=3,
    ),
)
