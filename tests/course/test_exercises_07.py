"""Lesson 07: the wrong answers that people give, and what they are told."""

from __future__ import annotations

import pytest
from cells import assert_says, cell, changed
from waiting import ended, until

from rpclab.course import catalogue

MAKE = "    server = rpclab.FibonacciServer()\n"
POOL = "    process_pool = []\n"
START = "    for process in process_pool:\n        process.start()\n"
JOIN = "    for process in process_pool:\n        process.join()\n"
SUBMIT = "    futures = [client.submit(n) for n in numbers]\n"
COLLECT = "    return [future.result() for future in futures]\n"
QOS = "        self.channel.basic_qos(prefetch_count=1)\n"
CONSUME = '        self.channel.basic_consume("naps", self.on_request)\n'
NAP = "        self.connection.sleep(float(body))\n"
ACK = "        ch.basic_ack(method.delivery_tag)\n"

WRONG = {
    "07-own-connection": {
        "made early, handed over as an argument": (
            [(f"def run_server():\n{MAKE}", "def run_server(server):\n"), (POOL, MAKE + POOL),
             ("target=run_server,", "target=run_server, args=(server,),")],
            "broker sees one connection, `Script-0`: it was opened by the script",
        ),
        "one for each, made early": (
            [("target=run_server,", "target=rpclab.FibonacciServer().start,")],
            "the script opened both of them, before the child was there.*stays unacked",
        ),
        "threads": (
            [("import multiprocessing", "import threading"), ("multiprocessing.Process", "threading.Thread")],
            "two consumers, and no two processes",
        ),
        "called instead of handed over": ([("target=run_server,", "target=run_server(),")], "without parentheses"),
        "one after the other": (
            [(JOIN, ""), (START, START + "        process.join()\n")], "One process consumes from `fibonacci`",
        ),
        "never started": ([(START, ""), (JOIN, "")], "script came to its end.*Your code returned `None`"),
        "joined before they start": ([(START, "")], "raised `AssertionError: can only join a started process`"),
        "none at all": ([("range(2)", "range(0)"), (JOIN, JOIN + "    import time\n    time.sleep(60)\n")],
                        "nobody consumes from `fibonacci`"),
        "too many": ([("range(2)", "range(4)")], "More than 2 consumers came"),
        "does not answer": (
            [("server.start()", "server.handle = lambda body: 8\n    server.start()")],
            r"fib of 10, 11, 12, 13.*\['8', '8', '8', '8'\]",
        ),
    },
    "07-all-at-once": {
        "a receipt, and handed in at once": (
            [(SUBMIT, ""), (COLLECT, "    return [client.submit(n).result() for n in numbers]\n")],
            "4 by `FibonacciServer-0` and 4 by `FibonacciServer-1`, and at no time was more than one under way",
        ),
        "in the order of the answers": (
            [(COLLECT, "    from concurrent.futures import as_completed\n"
                       "    return [future.result() for future in as_completed(futures)]\n")],
            "in the order in which they came",
        ),
        "receipts": ([(COLLECT, "    return futures\n")], "A future is a receipt"),
        "does the work itself": (
            [(SUBMIT, "    fib = lambda n: n if n < 2 else fib(n - 1) + fib(n - 2)\n"),
             (COLLECT, "    return list(map(fib, numbers))\n")],
            "0 of 8 requests came to `fibonacci`",
        ),
        "asks everything twice": (
            [(COLLECT, "    [client.submit(n) for n in numbers][-1].result()\n" + COLLECT)], "it took 16 requests",
        ),
        "only the first": (
            [(COLLECT, "    return futures[0].result()\n")], r"returned `46368`.* should have been `\[46368",
        ),
    },
    "07-fair-shares": {
        "a limit too high": ([("prefetch_count=1)", "prefetch_count=10)")], r"2 of 5 short jobs lay.*Your limit is 10"),
        "no limit, said so": ([("prefetch_count=1)", "prefetch_count=0)")], "Your limit is 0, which means none"),
        "too late": ([(QOS, ""), (CONSUME, CONSUME + QOS)], "You set a limit, and too late"),
        "no limit, and another name": ([(QOS, ""), ("props, body", "properties, body")], "Nobody has told the broker"),
        "auto_ack": ([("self.on_request)", "self.on_request, auto_ack=True)"), (ACK, "")], "`auto_ack=True`"),
        "acknowledged before the work": (
            [(NAP + ACK, ACK + NAP)],
            "acknowledged long before its nap could be over.* which lay there until the nap was over",
        ),
        "no nap": ([(NAP, "")], "took that worker for free, and sent it the next"),
        "never acknowledged": ([(ACK, "")], "`0.9` was not acknowledged. 2 are unacked, 4 wait"),
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
def ask_all(client, numbers):
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(len(numbers)) as threads:
        return list(threads.map(client.call, numbers))
""",
        "coroutines": """
def ask_all(client, numbers):
    import asyncio

    async def ask():
        return await asyncio.gather(*map(client.ask, numbers))

    return asyncio.run(ask())
""",
    },
    "07-fair-shares": {
        "with the base class": """
class NapServer(rpclab.BaseServer):
    def __init__(self):
        super().__init__("naps")

    def on_request(self, ch, method, props, body):
        self.connection.sleep(float(body))
        ch.basic_ack(method.delivery_tag)
""",
        "as a service": """
import time

class NapServer(rpclab.RpcServer):
    def __init__(self):
        super().__init__("naps")

    def handle(self, body):
        time.sleep(float(body))
        return "awake"
""",
        "taken one by one": """
class NapServer:
    def start(self):
        channel = pika.BlockingConnection(rpclab.connection_parameters()).channel()
        channel.queue_declare("naps", durable=True)
        channel.basic_qos(prefetch_count=1)
        for method, props, body in channel.consume("naps"):
            channel.connection.sleep(float(body))
            channel.basic_ack(method.delivery_tag)
""",
    },
}


@pytest.mark.parametrize(("id", "mistake"), [(id, mistake) for id in WRONG for mistake in WRONG[id]])
def test_a_mistake_gets_its_own_diagnosis(id, mistake):
    exercise = catalogue.exercise(id)
    changes, words = WRONG[id][mistake]
    assert_says(exercise.check(changed(exercise, *changes)), "wrong", words)


@pytest.mark.parametrize(("id", "way"), [(id, way) for id in ALSO_RIGHT for way in ALSO_RIGHT[id]])
def test_another_good_way_is_right_as_well(id, way):
    exercise = catalogue.exercise(id)
    assert_says(exercise.check(cell(ALSO_RIGHT[id][way], exercise.name)), "right", "")


@pytest.mark.parametrize("mistake", [None, "made early, handed over as an argument", "one after the other"])
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
