"""Eight questions for two servers, so that both have something to do."""

from __future__ import annotations

from rpclab.course.exercise import Exercise
from rpclab.course.findings import explain, refused
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.rpc.arithmetic import FibonacciClient, FibonacciServer
from rpclab.rpc.queues import FIBONACCI_QUEUE
from rpclab.rpc.workers import Workers
from rpclab.wire.messages import Message

# The long one first, so that answers come in another order than the questions.
QUESTIONS = (24, 18, 19, 20, 21, 18, 19, 20)
ANSWERS = [46368, 2584, 4181, 6765, 10946, 2584, 4181, 6765]


def ask_with_a_client(ask_all) -> list:
    """Let a function ask the Fibonacci service; runs in a process."""
    with FibonacciClient() as client:
        return ask_all(client, list(QUESTIONS))


def all_at_once(trial: Trial, answer) -> str:
    """Let eight questions be asked, and count how many are under way at the same time."""
    with Workers(FibonacciServer, count=2) as servers:
        running = trial.run("Asker", ask_with_a_client, answer)
        trial.wait(lambda: not running.alive, running)
        trial.wait(lambda: all(request.replies for request in trial.story.requests), seconds=1)
        requests = trial.story.requests
        refused(trial)
        if len(requests) < len(QUESTIONS):
            raise Mistake(
                f"{len(requests)} of {len(QUESTIONS)} requests came to `{FIBONACCI_QUEUE}`. {explain(running)}"
            )
        if most_under_way(requests) == 1:
            _one_by_one(requests, servers.names)
    outcome = running.outcome
    if outcome.value != ANSWERS:
        _wrong(outcome.value, explain(running))
    if len(requests) > len(QUESTIONS):
        raise Mistake(f"The answers are right, and it took {len(requests)} requests to get {len(QUESTIONS)} of them.")
    return (
        "Your function sent its requests without waiting for the answers in between, so that both servers had "
        "something to do all the time, and it returned the answers in the order of the questions."
    )


def most_under_way(requests: list[Message]) -> int:
    """Return how many requests were sent and not yet answered at the same time, at the most."""
    sent = [(request.time, 1) for request in requests]
    answered = [(reply.time, -1) for request in requests for reply in request.replies[:1]]
    most = under_way = 0
    for _, change in sorted(sent + answered):
        under_way += change
        most = max(most, under_way)
    return most


def _one_by_one(requests: list[Message], servers: list[str]) -> None:
    took = [request.deliveries[0].to for request in requests if request.deliveries]
    shares = " and ".join(f"{took.count(name)} by `{name}`" for name in servers)
    raise Mistake(
        f"{len(requests)} requests were answered, {shares}, and at no time was more than one under way: the wire shows "
        "each request after the answer to the one before. While one server worked, the other had nothing to do, and "
        "ten of them would be no faster. Where does your function wait?"
    )


def _wrong(value: object, ended: str) -> None:
    if isinstance(value, list) and sorted(map(str, value)) == sorted(map(str, ANSWERS)):
        raise Mistake(
            f"The answers are there, in the order in which they came: `{value}`. The first question takes longest, and "
            "was overtaken. `ask_all` should return them in the order of the questions."
        )
    if "Future" in str(value):
        raise Mistake(
            "All requests were sent at once, and your function returned the futures. A future is a receipt; the answer "
            "is what its `result()` returns."
        )
    raise Mistake(f"{ended} It should have been `{ANSWERS}`.")


EXERCISE = Exercise(
    id="07-all-at-once",
    title="Two servers, and both have something to do",
    task="""
Two Fibonacci servers run. `ask_all(client, numbers)` is to return the Fibonacci numbers in the order of the questions.
This one does, but two servers are no faster with it than one. Mend it, so that both have something to do all the time.
`client` is a `rpclab.FibonacciClient`.
""",
    name="ask_all",
    starter="""\
def ask_all(client, numbers):
    answers = []
    for n in numbers:
        answers.append(client.call(n))
    return answers
""",
    solved="""\
def ask_all(client, numbers):
    futures = [client.submit(n) for n in numbers]
    return [future.result() for future in futures]
""",
    hints=(
        "When does `call` return? What does the second server do until then?",
        "`submit` returns at once, with a receipt. When is the right time to ask for the answer?",
        "Submit all of them first, in one loop, and then, in another, collect each future's `result()`.",
    ),
    judge=all_at_once,
)
