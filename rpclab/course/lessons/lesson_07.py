"""Lesson 07: one connection for each process, concurrent requests, and workers that stop cleanly."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise

import psutil
from pika import spec

from rpclab.broker.connect import connect
from rpclab.broker.environment import connection_parameters
from rpclab.course.evidence import acked, held, outcomes
from rpclab.course.findings import explain, not_consumed, refused, stopped, until
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.rpc.arithmetic import FibonacciClient, FibonacciServer
from rpclab.rpc.protocol import FIBONACCI_QUEUE
from rpclab.rpc.workers import Workers
from rpclab.wire.events import Link
from rpclab.wire.messages import ACKED, Message

FIBONACCI = {"10": "55", "11": "89", "12": "144", "13": "233"}
PROCESSES = 2

# The long one first, so that replies come in another order than the requests.
NUMBERS = (24, 18, 19, 20, 21, 18, 19, 20)
ANSWERS = [46368, 2584, 4181, 6765, 10946, 2584, 4181, 6765]

QUEUE = "reports"
REPORTS = ("report 1", "report 2", "report 3", "report 4")
FIRST = REPORTS[0]
# Long enough that pika has received all that the broker sent with the first request.
RECEIVE_SECONDS = 0.2


def run_script(run_servers: Callable) -> None:
    """Run a function that starts processes, as the main program of a script; runs in a process."""
    reading, writing = os.pipe()

    def end_with_this_process() -> None:
        # The pipe's other end is held by this process alone, so that reading ends when it does, including by a kill.
        os.close(writing)
        threading.Thread(target=lambda: (os.read(reading, 1), os._exit(1)), daemon=True).start()

    os.register_at_fork(after_in_child=end_with_this_process)
    # Python's default differs between systems and versions. With this one, children inherit what the script has opened.
    multiprocessing.set_start_method("fork", force=True)
    # A pool finds functions by their names in the main program.
    names = {name: value for name, value in run_servers.__globals__.items() if not name.startswith("__")}
    vars(sys.modules["__main__"]).update(names)
    run_servers()


def own_connection(trial: Trial, answer: Callable) -> str:
    """Let the script start two servers, and check which connections they use."""
    script = trial.run("Script", run_script, answer)
    if trial.wait(lambda: _consuming(trial), script):
        trial.wait(lambda: len(_consuming(trial)) >= PROCESSES, script, seconds=1.5)
    links = _consuming(trial)
    refused(trial)
    _opened_by_its_process(trial, script, links)
    requests = trial.ask(FIBONACCI_QUEUE, *FIBONACCI)
    until(trial, lambda: all(request.replies for request in requests), script)
    answers = [request.replies[0].text() for request in requests if request.replies]
    if answers != list(FIBONACCI.values()):
        raise Mistake(
            f"Both servers consume, each on its own connection. The check requested fib of {', '.join(FIBONACCI)}, and "
            f"{len(answers)} of {len(FIBONACCI)} replies came: `{answers}`."
        )
    return (
        "Two processes, two connections, each opened by the process that uses it. The broker shared the requests among "
        "them, and all got replies."
    )


def _consuming(trial: Trial) -> list[Link]:
    """Return the connection of each consumer of the queue; one with two consumers is in the list twice."""
    return [
        event.link for event in trial.events
        if isinstance(event.method, spec.Basic.Consume) and event.method.queue == FIBONACCI_QUEUE
    ]


def _opened_by_its_process(trial: Trial, script: Running, links: list[Link]) -> None:
    """Check that two processes consume, each on a connection of its own."""
    children = 0
    with suppress(psutil.NoSuchProcess):
        children = len(psutil.Process(script.process.pid).children())
    early = [link for link in links if link.pid == script.process.pid]
    if early and children and links[0] is links[-1] and len(links) <= PROCESSES:
        raise Mistake(
            f"Two processes consume, and the broker sees one connection, `{links[0].name}`: it was opened by the "
            "script, and each child got a copy of the same open socket. Both write to it and read from it, and each "
            "gets pieces of the other's messages. Making the server opens the connection: do that in the child."
        )
    if len(links) < PROCESSES:
        _too_few(trial, script, links)
    # A process that has not connected yet counts, too.
    if max(len(links), children) > PROCESSES:
        raise Mistake(f"`{FIBONACCI_QUEUE}` has more than {PROCESSES} consumers; each of two processes needs one.")
    if links[0].pid == links[1].pid and not (early and children):
        raise Mistake(
            "There are two consumers, but one process: both servers run in it, and Python computes on one core at a "
            "time. Each server needs its own process."
        )
    if early:
        raise Mistake(
            f"There are two connections, and the script opened {'one' if len(early) == 1 else 'both'} of them, "
            "before the child that uses it started. The script holds the socket, too: when the child dies, the "
            "connection stays open, and the child's requests stay unacked. Make the server in the child."
        )


def _too_few(trial: Trial, script: Running, links: list[Link]) -> None:
    """Raise a mistake: not all processes consume."""
    stopped(trial, script, "The script ended, and its servers should not. ")
    if not links:
        raise Mistake(
            f"The script runs, and no process consumes from `{FIBONACCI_QUEUE}`. Start each process, with a function "
            f"that makes a server and starts it. {explain(script)}"
        )
    if links[0].pid == script.process.pid:
        raise Mistake(
            "The script itself became the server, and the second one never started: you called the function instead of "
            "passing it. `target` takes the function, without parentheses."
        )
    raise Mistake(
        f"One process consumes from `{FIBONACCI_QUEUE}`, and the other never started. Start both before you join one."
    )


def call_with_a_client(call_all: Callable) -> list:
    """Let a function call the Fibonacci service; runs in a process."""
    with FibonacciClient() as client:
        return call_all(client, list(NUMBERS))


def all_at_once(trial: Trial, answer: Callable) -> str:
    """Let a function send eight requests, and check whether several are in flight at the same time."""
    with Workers(FibonacciServer, count=2) as servers:
        running = trial.run("Client", call_with_a_client, answer)
        trial.wait(lambda: not running.alive, running)
        trial.wait(lambda: all(request.replies for request in trial.story.requests), seconds=1)
        requests = trial.story.requests
        refused(trial)
        if len(requests) < len(NUMBERS):
            raise Mistake(f"{len(requests)} of {len(NUMBERS)} requests reached `{FIBONACCI_QUEUE}`. {explain(running)}")
    if all(one.replies and one.replies[0].time <= following.time for one, following in pairwise(requests)):
        took = [request.deliveries[0].to for request in requests if request.deliveries]
        shares = " and ".join(f"{took.count(name)} by `{name}`" for name in servers.names)
        raise Mistake(
            f"{len(requests)} requests were answered, {shares}, and never more than one was in flight: the wire shows "
            "each request after the reply to the one before. While one server works, the other is idle, and ten would "
            "be no faster. Your function should send all requests before it waits."
        )
    value = running.outcome.value
    if value != ANSWERS and isinstance(value, list) and sorted(map(str, value)) == sorted(map(str, ANSWERS)):
        raise Mistake(
            f"The answers are in the order in which they came: `{value}`. The first request takes longest, and "
            "was overtaken. `call_all` should return them in the order of the requests."
        )
    if "Future" in str(value):
        raise Mistake(
            "All requests were sent at once, and your function returned the futures. A future is a receipt; the answer "
            "is what its `result()` returns."
        )
    if value != ANSWERS:
        raise Mistake(f"{explain(running)} It should have been `{ANSWERS}`.")
    if len(requests) > len(NUMBERS):
        raise Mistake(f"The answers are right, but it took {len(requests)} requests to get {len(NUMBERS)} of them.")
    return (
        "Your function sent all requests before it waited for a reply, so that both servers were busy all the time. "
        "It returned the answers in the order of the requests."
    )


def work_until_told(cls: type) -> None:
    """Run a server as a script does; in the first process, the first request takes until the check lets it end."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    first_process = multiprocessing.current_process().name.endswith("-0")

    class Watched(cls):
        def work(self, body: bytes) -> str:
            self.connection.sleep(RECEIVE_SECONDS)
            with connect(connection_parameters(), "the work") as connection:
                channel = connection.channel()
                channel.basic_publish("", "journal", body)
                if first_process and body.decode() == FIRST:
                    next(channel.consume("go on", auto_ack=True))
            return f"{body.decode()} is done"

    Watched().start()


def stop_cleanly(trial: Trial, answer: type) -> str:
    """Send SIGTERM to a worker in the middle of a request, and to one that has none."""
    trial.declare(QUEUE, "journal", "go on")
    first, *others = trial.ask(QUEUE, *REPORTS)
    running = trial.run("ReportServer", work_until_told, answer)
    if not trial.wait(lambda: trial.message(FIRST, "journal"), running):
        stopped(trial, running)
        if not first.deliveries:
            not_consumed(trial, QUEUE)
        raise Mistake(f"`{FIRST}` was delivered, and `on_request` did not begin the work: it should call `self.work`.")
    _send_sigterm(running)
    trial.publish("go on", "go on")
    trial.wait(lambda: not running.alive, running)
    refused(trial)
    _first_finished(running, first)
    _others_untouched(trial, running, others)
    _ended(running, "The worker")
    running.again()
    until(trial, lambda: all(map(acked, others)), running, "The next worker ended without a signal. ")
    if not all(map(acked, others)):
        raise Mistake("The next worker did not finish the other requests: it should reply to each and acknowledge it.")
    _send_sigterm(running)
    trial.wait(lambda: not running.alive, running)
    _ended(running, "An idle worker")
    return (
        f"SIGTERM came during `{FIRST}`. The worker finished it, replied, acknowledged, and exited with code 0. The "
        f"other {len(others)} requests were ready for the next worker, which stopped just as cleanly when it was idle."
    )


def _send_sigterm(running: Running) -> None:
    with suppress(psutil.NoSuchProcess):  # it may have ended just now
        psutil.Process(running.process.pid).send_signal(signal.SIGTERM)


def _first_finished(running: Running, first: Message) -> None:
    """Check that the request in hand got its reply and was then acknowledged."""
    if not first.replies and running.alive:
        raise Mistake(f"SIGTERM came during `{FIRST}`. The worker still runs, and has published no reply.")
    if not first.replies:
        how = f"at once (exit code {running.process.exitcode})" if running.outcome.state == "gone" else "too early"
        raise Mistake(
            f"SIGTERM ended the worker {how}, in the middle of `{FIRST}`: no reply was sent, and the work must be "
            f"repeated. {explain(running)} Install a handler that only records the signal: the request in hand goes on."
        )
    if outcomes(first)[-1:] != [ACKED]:
        raise Mistake(
            f"The worker replied to `{FIRST}` and ended without acknowledging it. The next worker repeats the work, "
            "and the client gets a duplicate reply."
        )


def _others_untouched(trial: Trial, running: Running, others: list[Message]) -> None:
    """Check that the requests that were not begun are ready for other workers."""
    begun = [message for message in others if trial.message(message.text(), "journal")]
    if begun and running.alive:
        raise Mistake(
            f"The worker finished `{FIRST}`, began the next requests, and still runs: SIGTERM had no effect. "
            "The supervisor will kill it in the middle of a request."
        )
    if begun:
        raise Mistake(
            f"After SIGTERM the worker processed {len(begun)} more of its prefetched requests. pika passes all that it "
            "has received to `on_request`, before `stop` takes effect. Let `on_request` return at once when the worker "
            "is stopping."
        )
    if lost := next(filter(acked, others), None):
        raise Mistake(
            f"The worker acknowledged `{lost.text()}` without working on it, so the request is lost. Leave it "
            "unacknowledged: the broker requeues it when the connection closes."
        )
    if running.alive:
        raise Mistake(
            f"The worker replied to `{FIRST}`, and still runs: its {sum(map(held, others))} prefetched requests stay "
            "unacked. `start` returns when `self.stop()` was called."
        )
    if not trial.wait(lambda: trial.counts(QUEUE)["ready"] == len(others), seconds=1):
        raise Mistake(
            f"{trial.counts(QUEUE)['ready']} of the other {len(others)} requests are back in the queue, and the rest "
            "is lost. A request that is rejected with `requeue=False` is dropped."
        )


def _ended(running: Running, which: str) -> None:
    """Check that the process has ended with exit code 0."""
    if running.alive:
        raise Mistake(
            "A busy worker stops, but an idle one does not: it sees your flag only when the next request comes. "
            "Call `self.stop()` in the handler, too."
        )
    outcome = running.outcome
    left = outcome.error == "SystemExit" and outcome.text in ("", "0", "None")
    if outcome.state != "returned" and outcome.exitcode != 0 and not left:
        raise Mistake(
            f"{which} stopped, but not cleanly: {outcome.explained} A supervisor takes any exit code but 0 for a crash."
        )
