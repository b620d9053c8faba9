"""What lesson 05 asks before a cell is run."""

from __future__ import annotations

from rpclab.course.question import Option, Question

PREDICTIONS = (
    Question(
        id="05-two-questions",
        asks="A client asks `3,5` and then `20,22`, both with the same `reply_to`. The server happens to answer the "
             "second question first. The client takes one message from the callback queue. What does it get?",
        options=(
            Option(
                "`8`, the answer to the first question", "8",
                "A queue keeps the order in which messages were published to it. These are answers, and the server "
                "published the other one first; the order of the questions was that of another queue.",
            ),
            Option(
                "`42`, and nothing shows that it is the wrong one", "42",
                "The queue hands out what came first. Only an id that the client has given to its question, and that "
                "the server copies onto the answer, tells them apart.",
            ),
            Option(
                "An error, because the answer does not fit the question", "error",
                "The broker knows of no questions and answers. To it these are four messages in two queues.",
            ),
        ),
        happens="42",
    ),
    Question(
        id="05-never-consumed",
        asks="The case study's client publishes `3,5` with `reply_to` and returns. A server answers. Nobody consumes "
             "from the callback queue. Where is the answer?",
        options=(
            Option(
                "With the client: the server sent it there.", "client",
                "The server knows no client, only the name of a queue. A message goes to a client when that client "
                "consumes from the queue.",
            ),
            Option(
                "In the callback queue, ready.", "ready",
                "A queue keeps what it was given until somebody takes it, which need not be the one who asked.",
            ),
            Option(
                "Nowhere: without a consumer the broker drops it.", "dropped",
                "A message is dropped when no queue takes it. A queue without a consumer does: waiting is what queues "
                "are for.",
            ),
            Option(
                "Back at the server, because it could not be delivered.", "returned",
                "A message is returned only if it was published as mandatory and no queue took it. Being in a queue is "
                "as delivered as the publisher can know.",
            ),
        ),
        happens="ready",
    ),
)
