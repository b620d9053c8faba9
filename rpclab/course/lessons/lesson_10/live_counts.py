"""A number from the HTTP API that is true now, and means what it is taken for."""

from __future__ import annotations

from rpclab.course.exercise import Exercise
from rpclab.course.findings import explain, stopped
from rpclab.course.lessons.lesson_10.tools import as_service
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.rpc.client import RpcClient

SERVICE, QUEUE = "waiting", "addition"
FIRST, MORE = 3, 2
LONGEST_SECONDS = 5.0


def live_counts(trial: Trial, answer) -> str:
    """Put a function behind a request queue, and ask it twice, while the queue that it is asked about changes."""
    trial.declare("aardvark", QUEUE, "audit", SERVICE)
    _publish(trial, FIRST)
    for _ in range(7):
        trial.publish("audit", "3,5")
    running = trial.run("Monitor", as_service, answer, SERVICE, trial.lab.broker, trial.lab.vhost)
    with RpcClient(SERVICE, parameters=trial.lab.parameters, timeout=LONGEST_SECONDS) as client:
        _is_true(trial, _asked(trial, running, client))
        trial.channel.basic_get(QUEUE)
        _publish(trial, MORE)
        _is_true(trial, _asked(trial, running, client))
    return (
        f"The service was asked about `{QUEUE}` and said `{FIRST}`. A moment later {MORE} more messages had come and 1 "
        f"had been taken: it said `{FIRST + MORE - 1}`, which is what the queue itself says."
    )


def _publish(trial: Trial, count: int) -> None:
    before = trial.counts(QUEUE)
    for _ in range(count):
        trial.publish(QUEUE, "1,1")
    total = before["ready"] + before["unacked"] + count
    trial.wait(lambda: sum(trial.counts(QUEUE)[name] for name in ("ready", "unacked")) == total)


def _asked(trial: Trial, running: Running, client: RpcClient) -> str:
    """Return what the service answers."""
    future = client.submit(QUEUE)
    trial.wait(future.done, running, seconds=LONGEST_SECONDS)
    if running.outcome.error == "KeyError":
        raise Mistake(
            f"The request ended the service. {explain(running)} What the API told of `{QUEUE}` has no such entry: it "
            "collects its figures every few seconds, and of a queue that is new it has none yet."
        )
    stopped(trial, running, "The request ended the service. ")
    if not future.done() or future.exception():
        raise Mistake("The service runs, and has not answered within the time of this check.")
    return future.result()


def _is_true(trial: Trial, said: str) -> None:
    queues = {row["name"]: row for row in trial.lab.queues()}
    ready, unacked = queues[QUEUE]["ready"], queues[QUEUE]["unacked"]
    if said == str(ready):
        return
    if unacked and said == str(ready + unacked):
        raise Mistake(
            f"The service said `{said}`, and {ready} messages wait in `{QUEUE}`: you counted the {unacked} that a "
            "consumer holds unacked as well. That one does not wait, somebody works on it."
        )
    if others := [name for name, row in queues.items() if name != QUEUE and str(row["ready"]) == said and row["ready"]]:
        raise Mistake(f"The service said `{said}`, which is true of `{others[0]}`. It was asked about `{QUEUE}`.")
    raise Mistake(
        f"The service said `{said}`, and the queue itself says that {ready} messages wait in `{QUEUE}`. The API "
        "collects its figures every few seconds; without being told to ask the queue, it says what was, or nothing."
    )


EXERCISE = Exercise(
    id="10-live-counts",
    title="Spot and mend: the figure of a few seconds ago",
    task="""
A service tells how many messages wait in a queue. It answers each request with what `waiting` returns: `api` is a
client of the HTTP API as in this lesson, `vhost` the virtual host, and `queue` the request's body. It fails, or tells
what was true a few seconds ago. Mend it. What a consumer holds unacked does not wait.
""",
    name="waiting",
    starter="""\
def waiting(api, vhost, queue):
    for found in api.get(f"/queues/{vhost}").json():
        if found["name"] == queue:
            return found["messages_ready"]
""",
    solved="""\
def waiting(api, vhost, queue):
    live = {"disable_stats": "true", "enable_queue_totals": "true"}
    for found in api.get(f"/queues/{vhost}", params=live).json():
        if found["name"] == queue:
            return found["messages_ready"]
""",
    hints=(
        "Where does the API have its figures from, and how old may they be?",
        "Two parameters make it ask the queues themselves; they stand in this lesson.",
        "`params={\"disable_stats\": \"true\", \"enable_queue_totals\": \"true\"}`",
    ),
    judge=live_counts,
)
