"""What lesson 09 asks before a cell is run."""

from __future__ import annotations

from rpclab.course.question import Option, Question

PREDICTIONS = (
    Question(
        id="09-lost-acknowledgement",
        asks="A worker orders a book, sends its reply, and its connection breaks before the acknowledgement has come "
             "to the broker. The caller has its answer. How often is the book ordered, once everything has settled?",
        options=(
            Option(
                "Once: the caller has its answer, so the request is done.", 1,
                "The broker does not know what an answer is. It saw a message go into a callback queue, and a request "
                "that nobody has acknowledged; to it the two have nothing to do with each other.",
            ),
            Option(
                "Twice: the request is delivered again.", 2,
                "The request was unacked when the connection ended, so it went back into the queue. Whether the work "
                "was done, the broker cannot know: at least once means sometimes twice.",
            ),
            Option(
                "Again and again, until somebody removes the request.", "again and again",
                "That is what a request does that ends its worker each time. This one was only unlucky: the second "
                "time its acknowledgement arrives, and the broker forgets it.",
            ),
        ),
        happens=2,
    ),
    Question(
        id="09-broker-restart",
        asks="Three requests wait in a durable queue; they were sent persistent, to be answered to the durable queue "
             "`addition_callback`. A fourth is a `call` that waits for its reply in a queue of its client's own. The "
             "broker is restarted. How many of the four are in the queue afterwards?",
        options=(
            Option(
                "0", 0,
                "What a queue holds in memory is lost. A durable queue with persistent messages is on the disk as "
                "well, and both were asked for.",
            ),
            Option(
                "3: without the call", 3,
                "The three are persistent. The call's request is not, and is not worth keeping: its answer would go to "
                "an exclusive queue, which went with its client's connection.",
            ),
            Option(
                "4", 4,
                "A durable queue survives, and of its messages those that are persistent. `call` publishes its request "
                "without that: nobody would get the answer after a restart.",
            ),
        ),
        happens=3,
    ),
)
