"""Lesson 07: wrong answers that people give, and their diagnoses."""

from __future__ import annotations

import pytest
from answers import test_a_mistake_gets_its_own_diagnosis as test_a_mistake_gets_its_own_diagnosis
from answers import test_another_good_way_is_right_as_well as test_another_good_way_is_right_as_well
from cells import changed
from waiting import ended, until

from rpclab.course import catalogue

MAKE = "    server = rpclab.FibonacciServer()\n"
POOL = "    process_pool = []\n"
START = "    for process in process_pool:\n        process.start()\n"
JOIN = "    for process in process_pool:\n        process.join()\n"
SUBMIT = "    futures = [client.submit(n) for n in numbers]\n"
COLLECT = "    return [future.result() for future in futures]\n"
HANDLER = "        self.stopping = True\n        self.stop()\n"
IF_STOPPING = "        if self.stopping:\n            "
RETURN = "            return  # the broker requeues it when the connection closes\n"
ACK = "        ch.basic_ack(method.delivery_tag)\n"

WRONG = {
    "07-own-connection": {
        "made early, passed as an argument": (
            [(f"def run_server():\n{MAKE}", "def run_server(server):\n"), (POOL, MAKE + POOL),
             ("target=run_server,", "target=run_server, args=(server,),")],
            "broker sees one connection, `Script-0`: it was opened by the script",
        ),
        "one for each, made early": (
            [("target=run_server,", "target=rpclab.FibonacciServer().start,")],
            "the script opened both of them, before the child that uses it started.*stay unacked",
        ),
        "threads": (
            [("import multiprocessing", "import threading"), ("multiprocessing.Process", "threading.Thread")],
            "two consumers, but one process",
        ),
        "called instead of passed": ([("target=run_server,", "target=run_server(),")], "without parentheses"),
        "one after the other": (
            [(JOIN, ""), (START, START + "        process.join()\n")], "One process consumes from `fibonacci`",
        ),
        "never started": ([(START, ""), (JOIN, "")], "script ended.*Your code returned `None`"),
        "joined before they start": ([(START, "")], "raised `AssertionError: can only join a started process`"),
        "none at all": ([("range(2)", "range(0)"), (JOIN, JOIN + "    import time\n    time.sleep(60)\n")],
                        "no process consumes from `fibonacci`"),
        "too many": ([("range(2)", "range(4)")], "more than 2 consumers"),
        "wrong answers": (
            [("server.start()", "server.handle = lambda body: 8\n    server.start()")],
            r"fib of 10, 11, 12, 13.*\['8', '8', '8', '8'\]",
        ),
    },
    "07-all-at-once": {
        "waits for each future at once": (
            [(SUBMIT, ""), (COLLECT, "    return [client.submit(n).result() for n in numbers]\n")],
            "4 by `FibonacciServer-0` and 4 by `FibonacciServer-1`, and never more than one was in flight",
        ),
        "in the order of the replies": (
            [(COLLECT, "    from concurrent.futures import as_completed\n"
                       "    return [future.result() for future in as_completed(futures)]\n")],
            "in the order in which they came",
        ),
        "futures": ([(COLLECT, "    return futures\n")], "A future is a receipt"),
        "does the work itself": (
            [(SUBMIT, "    fib = lambda n: n if n < 2 else fib(n - 1) + fib(n - 2)\n"),
             (COLLECT, "    return list(map(fib, numbers))\n")],
            "0 of 8 requests reached `fibonacci`",
        ),
        "sends everything twice": (
            [(COLLECT, "    [client.submit(n) for n in numbers][-1].result()\n" + COLLECT)], "it took 16 requests",
        ),
        "only the first": (
            [(COLLECT, "    return futures[0].result()\n")], r"returned `46368`.* should have been `\[46368",
        ),
    },
    "07-stop-cleanly": {
        "only the signal is recorded": (
            [("        self.stop()\n", "")],
            "replied to `report 1`, and still runs: its 3 prefetched requests stay unacked",
        ),
        "ends at once": (
            [(HANDLER, "        raise SystemExit\n")], "ended the worker too early, in the middle.*called `sys.exit`",
        ),
        "closes the connection at once": (
            [(HANDLER, "        self.connection.close()\n")], "ended the worker too early.*Your code raised",
        ),
        "no handler": (
            [("        signal.signal(signal.SIGTERM, self.on_sigterm)\n", "")],
            r"ended the worker at once \(exit code -15\), in the middle of `report 1`: no reply was sent",
        ),
        "ignores it": ([("self.on_sigterm)", "signal.SIG_IGN)")], "still runs: SIGTERM had no effect"),
        "works on what it has prefetched": ([(RETURN, "            pass\n")], "processed [23] more of its prefetched"),
        "drops what it has prefetched": (
            [(RETURN, "            return ch.basic_reject(method.delivery_tag, requeue=False)\n")],
            "of the other 3 requests are back in the queue, and the rest is lost",
        ),
        "acknowledges what it has prefetched": (
            [(RETURN, "            return ch.basic_ack(method.delivery_tag)\n")],
            "acknowledged `report 2` without working on it",
        ),
        "leaves before the acknowledgement": (
            [(ACK, IF_STOPPING + "return\n" + ACK)],
            "replied to `report 1` and ended without acknowledging",
        ),
        "stops only between requests": (
            [("        self.stop()\n", ""), (ACK, ACK + IF_STOPPING + "ch.stop_consuming()\n")],
            "an idle one does not",
        ),
        "leaves with an error": (
            [(ACK, ACK + IF_STOPPING + "sys.exit(self.connection.close() or 1)\n"), ("import", "import sys,")],
            "not cleanly: your code called `sys.exit` in `on_request`.*any exit code but 0",
        ),
        "never works": ([("self.work(body)", "b'done'")], "did not begin the work"),
        },
}

ALSO_RIGHT = {
    "07-own-connection": {
        "started by a lambda, and not joined": """
import multiprocessing

def run_servers():
    for i in range(2):
        multiprocessing.Process(target=lambda: rpclab.FibonacciServer().start(), name=f"FibonacciServer-{i}").start()
""",
        "a pool of them": """
import multiprocessing

def run_server(number):
    rpclab.FibonacciServer().start()

def run_servers():
    with multiprocessing.Pool(2) as pool:
        pool.map(run_server, range(2), chunksize=1)
""",
        "the script declares the queue first": """
import multiprocessing

class Server(multiprocessing.Process):
    def run(self):
        rpclab.FibonacciServer().start()

def run_servers():
    with pika.BlockingConnection(rpclab.connection_parameters()) as connection:
        connection.channel().queue_declare(rpclab.FIBONACCI_QUEUE, durable=True)
    servers = [Server() for _ in range(2)]
    for server in servers:
        server.start()
    for server in servers:
        server.join()
""",
    },
    "07-all-at-once": {
        "calls in threads": """
def call_all(client, numbers):
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(len(numbers)) as threads:
        return list(threads.map(client.call, numbers))
""",
        "coroutines": """
def call_all(client, numbers):
    import asyncio

    async def gather():
        return await asyncio.gather(*map(client.call_async, numbers))

    return asyncio.run(gather())
""",
    },
    "07-stop-cleanly": {
        "hands back at once": """
import signal

class ReportServer(rpclab.BaseServer):
    def __init__(self):
        super().__init__("reports")
        self.channel.basic_qos(prefetch_count=3)
        self.stopping = False

    def start(self):
        def on_sigterm(*_):
            self.stopping = True
            self.connection.add_callback_threadsafe(self.channel.stop_consuming)

        signal.signal(signal.SIGTERM, on_sigterm)
        super().start()
        raise SystemExit

    def on_request(self, ch, method, properties, body):
        reply = pika.BasicProperties(correlation_id=properties.correlation_id)
        ch.basic_publish("", properties.reply_to, self.work(body), reply)
        ch.basic_ack(method.delivery_tag)
        if self.stopping:
            ch.stop_consuming()
""",
        "nothing prefetched": """
import signal

class ReportServer(rpclab.BaseServer):
    def __init__(self):
        super().__init__("reports")
        signal.signal(signal.SIGTERM, lambda *_: self.stop())

    def on_request(self, ch, method, properties, body):
        reply = pika.BasicProperties(correlation_id=properties.correlation_id)
        ch.basic_publish("", properties.reply_to, self.work(body), reply)
        ch.basic_ack(method.delivery_tag)
""",
        },
}


@pytest.mark.parametrize("mistake", [None, "made early, passed as an argument", "one after the other"])
def test_the_processes_of_a_checked_script_end_with_the_check(tmp_path, mistake):
    exercise = catalogue.exercise("07-own-connection")
    pids = tmp_path / "pids"
    note = f"    import os\n    with open({str(pids)!r}, 'a') as file:\n        print(os.getpid(), file=file)\n"
    changes = WRONG[exercise.id][mistake][0] if mistake else []
    exercise.check(changed(exercise, *changes, ("    server.start()\n", f"{note}    server.start()\n")))
    begun = [int(line) for line in pids.read_text().split()]
    assert len(begun) == (1 if mistake == "one after the other" else 2)
    for pid in begun:
        until(lambda pid=pid: ended(pid))
