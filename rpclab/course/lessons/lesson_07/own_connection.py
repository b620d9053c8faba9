"""Two processes with one connection, which was opened before they were there."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from contextlib import suppress

import psutil
from pika import spec

from rpclab.course.exercise import Exercise
from rpclab.course.findings import explain, refused, stopped
from rpclab.course.running import Running
from rpclab.course.trial import CHECK, Trial
from rpclab.course.verdict import Mistake
from rpclab.rpc.queues import FIBONACCI_QUEUE
from rpclab.wire.frames import Link

PROCESSES = 2
NUMBERS = {"10": "55", "11": "89", "12": "144", "13": "233"}


def run_script(run_servers) -> None:
    """Run a function that starts processes, as the main program of a script; runs in a process."""
    reading, writing = os.pipe()

    def end_with_this_process() -> None:
        # The pipe's other end is held by this process alone, so that reading ends when it does, be it killed.
        os.close(writing)
        threading.Thread(target=lambda: (os.read(reading, 1), os._exit(1)), daemon=True).start()

    os.register_at_fork(after_in_child=end_with_this_process)
    # A daemon may not have children, and the start method is inherited from the one that started this process.
    multiprocessing.current_process().daemon = False
    multiprocessing.set_start_method("fork", force=True)
    # A pool finds functions by their names in the main program.
    names = {name: value for name, value in run_servers.__globals__.items() if not name.startswith("__")}
    vars(sys.modules["__main__"]).update(names)
    run_servers()


def own_connection(trial: Trial, answer) -> str:
    """Have two servers started, and see by which connections they come to the broker."""
    script = trial.run("Script", run_script, answer)
    if trial.wait(lambda: _consuming(trial), script):
        trial.wait(lambda: len(_consuming(trial)) >= PROCESSES, script, seconds=1.5)
    links = _consuming(trial)
    refused(trial)
    if len(links) < PROCESSES:
        _too_few(trial, script, links)
    # One that has been started and has yet to connect is one too many as well.
    if max(len(links), _children(script)) > PROCESSES:
        raise Mistake(f"More than {PROCESSES} consumers came to `{FIBONACCI_QUEUE}`; each of two processes needs one.")
    _whose(script, links)
    answers = _ask(trial, script)
    stopped(trial, script)
    if answers != list(NUMBERS.values()):
        raise Mistake(
            f"Both servers consume, each on a connection of its own. They were asked for fib of {', '.join(NUMBERS)} "
            f"and {len(answers)} of {len(NUMBERS)} answers came: `{answers}`."
        )
    return (
        "Two processes, two connections, each opened by the process that uses it. The broker shared the requests among "
        "them, and all were answered."
    )


def _consuming(trial: Trial) -> list[Link]:
    """Return the connection of each consumer that came to the queue; one that has two of them is there twice."""
    return [
        event.link for event in trial.events
        if isinstance(event.method, spec.Basic.Consume) and event.method.queue == FIBONACCI_QUEUE
    ]


def _too_few(trial: Trial, script: Running, links: list[Link]) -> None:
    stopped(trial, script, "The script came to its end, and its servers never do. ")
    if not links:
        raise Mistake(
            f"The script runs, and nobody consumes from `{FIBONACCI_QUEUE}`. Has each process been started, with a "
            f"function that makes a server and starts it? {explain(script)}"
        )
    if links[0].pid == script.process.pid:
        if _children(script):
            raise _shared(links[0])
        raise Mistake(
            "The script itself became the server, and the second one never came: a call that does not return was made "
            "where a function was to be handed over. `target` gets the function, without parentheses."
        )
    raise Mistake(
        f"One process consumes from `{FIBONACCI_QUEUE}`, and the other one never came. What is the script waiting for?"
    )


def _whose(script: Running, links: list[Link]) -> None:
    """See that each connection belongs to the process that uses it."""
    first, second = links
    parents = [link for link in links if link.pid == script.process.pid]
    if first.pid == second.pid and not (parents and _children(script)):
        raise Mistake(
            "There are two consumers, and no two processes: both servers run in one, whose Python computes on one core "
            "at a time. Each server needs a process of its own."
        )
    if first is second:
        raise _shared(first)
    if parents:
        raise Mistake(
            f"There are two connections, and the script opened {'one' if len(parents) == 1 else 'both'} of them, "
            "before the child was there that uses it. The script holds the socket as well: when the child dies, the "
            "connection stays open, and what the child had stays unacked. Which process runs the line that makes the "
            "server?"
        )


def _shared(link: Link) -> Mistake:
    return Mistake(
        f"Two processes consume, and the broker sees one connection, `{link.name}`: it was opened by the script, "
        "and each child got a copy of the same open socket. Both write to it, both read from it, and each gets "
        "pieces of what was meant for the other. Where in your code is the connection opened, and in which process?"
    )


def _children(script: Running) -> int:
    """Return how many processes the script has started that are still there."""
    with suppress(psutil.NoSuchProcess):
        return len(psutil.Process(script.process.pid).children())
    return 0


def _ask(trial: Trial, script: Running) -> list[str]:
    """Ask both servers, and return the answers that came, in order."""
    callback = trial.channel.queue_declare("", exclusive=True).method.queue
    for number in NUMBERS:
        trial.publish(FIBONACCI_QUEUE, number, reply_to=callback, correlation_id=number)

    def replies() -> list:
        requests = [request for request in trial.story.requests if request.publisher == CHECK]
        return [request.replies[0] for request in requests if request.replies]

    trial.wait(lambda: len(replies()) == len(NUMBERS), script)
    return [reply.text() for reply in replies()]


EXERCISE = Exercise(
    id="07-own-connection",
    title="Spot and mend: one connection for two processes",
    task="""
This script starts two Fibonacci servers. It saves a line against the case study's: the server is made once, in the
script, and both processes start it. It runs without an error, and then answers stay away or are garbled. Mend it, so
that each process has a connection of its own. (In this check `multiprocessing` forks, as on Linux before Python 3.14.)
""",
    name="run_servers",
    starter="""\
import multiprocessing

def run_servers():
    server = rpclab.FibonacciServer()
    process_pool = []
    for i in range(2):
        process = multiprocessing.Process(target=server.start, name=f"FibonacciServer-{i}")
        process_pool.append(process)
    for process in process_pool:
        process.start()
    for process in process_pool:
        process.join()
""",
    solved="""\
import multiprocessing

def run_server():
    server = rpclab.FibonacciServer()
    server.start()

def run_servers():
    process_pool = []
    for i in range(2):
        process = multiprocessing.Process(target=run_server, name=f"FibonacciServer-{i}")
        process_pool.append(process)
    for process in process_pool:
        process.start()
    for process in process_pool:
        process.join()
""",
    hints=(
        "Making a server opens its connection. How often is one made here, and by which process?",
        "`target` is what the new process does. Everything before `process.start()` is done by the script.",
        "Write a function that makes a server and starts it, and give that function to `target`.",
    ),
    judge=own_connection,
)
