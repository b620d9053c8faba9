"""What lesson 11 asks before a cell is run."""

from __future__ import annotations

from rpclab.course.question import Option, Question

PREDICTIONS = (
    Question(
        id="11-a-node-dies",
        asks="A cluster of three nodes. Two durable queues, a classic one and a quorum queue, hold three persistent "
             "messages each; both were declared on the node rpclab-1. That node is killed. From which of the two can "
             "one still get messages?",
        options=(
            Option(
                "From both: the other two nodes know the queues as well.", "both",
                "All nodes know that the queues exist, and how they are bound. The messages of a classic queue are on "
                "one node alone, though, and that one is dead.",
            ),
            Option(
                "From the quorum queue only.", "quorum",
                "Each of its messages was on all three nodes, and two of them are a majority: they have chosen a new "
                "leader between them. The classic queue's messages are on the disk of the dead node, and come back "
                "with it.",
            ),
            Option(
                "From neither: both lived on that node.", "neither",
                "The quorum queue was only led from there. Each message was on the other two as well before its "
                "publisher got the confirm.",
            ),
        ),
        happens="quorum",
    ),
    Question(
        id="11-two-of-three",
        asks="Two of the three nodes are dead. A publisher that waits for confirms publishes to the quorum queue, by "
             "way of the third node. What happens?",
        options=(
            Option(
                "It is confirmed: one node is still there to keep the message.", "confirmed",
                "One of three is no majority. If it went on alone, the other two could do the same behind a broken "
                "cable, and there would be two queues of one name with different messages.",
            ),
            Option(
                "It is refused at once with an error.", "refused",
                "The node does not refuse: the others may be back in a moment, and then the message is taken after "
                "all. It is the publisher's part to stop waiting.",
            ),
            Option(
                "No confirm comes until another node is back.", "waits",
                "A message counts as taken when a majority has it, here two of three. Until then the publisher knows "
                "that it does not know, and that is what a confirm is for.",
            ),
        ),
        happens="waits",
    ),
    Question(
        id="11-calls-in-flight",
        asks="500 additions are on their way, over a quorum queue to three workers, and the client sends a request "
             "again, with the same correlation id, if its connection is lost. The node that leads the queue is killed; "
             "the client and one of the workers are connected to it. What does the caller get?",
        options=(
            Option(
                "500 answers, each sum once.", "500 once",
                "The requests were on two other nodes. Those that were unacked came again, those whose answers were "
                "lost were asked again, and of two answers with the same correlation id the client hands on the first.",
            ),
            Option(
                "500 answers, and some sums twice.", "twice",
                "Some additions are done twice, that is the price of at least once. The caller does not see it: a call "
                "ends with its first answer, and the client drops and counts the second.",
            ),
            Option(
                "Fewer than 500: what the dead node had in its hands is lost.", "fewer",
                "It had nothing alone. A request is acknowledged by its worker after the answer; until then at least "
                "two nodes keep it.",
            ),
        ),
        happens="500 once",
    ),
)
