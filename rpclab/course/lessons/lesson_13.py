"""Lesson 13: a client in a web application, several replies to one request, and orders that must not happen twice."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from rpclab.broker.connect import connect
from rpclab.broker.environment import connection_parameters
from rpclab.course.addition import AdditionService
from rpclab.course.exercise_runner import serve
from rpclab.course.findings import explain, refused, until, until_consuming
from rpclab.course.running import Running
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake
from rpclab.errors import RemoteError, ReplyLost, RpcTimeout
from rpclab.rpc.client import RpcClient
from rpclab.rpc.codec import Json
from rpclab.rpc.protocol import ADDITION_QUEUE, END, NUMBER
from rpclab.wire.records import BY_CLIENT

PAIR = ("/add/3/5", "/add/20/22")
SILENT, UNANSWERED = "/add/1/1", "1,1"
# How long the service waits for the second request of a pair, which an application that blocks does not send.
PATIENCE_SECONDS = 0.6
SUMS = ['{"sum":8}', '{"sum":42}']

LOST = ReplyLost.__name__
# For each callback queue, what lies in it, and what should come of it.
ROUNDS: dict[str, tuple[tuple[tuple[int, str], ...], Any]] = {
    "plain": (((1, "half"), (2, "half"), (3, "done"), (4, END)), ["half", "half", "done"]),
    "again": (((1, "a"), (2, "b"), (1, "a"), (2, "b"), (3, "c"), (4, END)), ["a", "b", "c"]),
    "gap": (((1, "a"), (3, "c"), (4, END)), LOST),
    "cut": (((1, "a"), (3, END)), LOST),
}

QUEUE, DATABASE = "shop", "shop.db"
CALL_SECONDS = 2.0
FIRST, OTHER = {"key": "A", "item": "book"}, {"key": "B", "item": "book"}
MIXED_UP = {"key": "A", "item": "pen"}


def browse(make_app: Callable) -> dict:
    """Send an application two requests at once, and then one that gets no reply; runs in a process."""
    from starlette.testclient import TestClient

    app = make_app()
    early = any(thread.name == "rpclab client" for thread in threading.enumerate())
    with TestClient(app, raise_server_exceptions=False) as browser, ThreadPoolExecutor(2) as pool:
        responses = [*pool.map(browser.get, PAIR), browser.get(SILENT)]
    return {
        "early": early, "status": [one.status_code for one in responses], "text": [one.text[:20] for one in responses],
    }


def one_client(trial: Trial, answer: Callable) -> str:
    """Run the application with a real test client, and count its connections on the wire."""
    service = AdditionService(trial, [(0, 1)], unanswered=(UNANSWERED,), patience=PATIENCE_SECONDS)
    running = trial.run("Application", browse, answer)
    trial.wait(lambda: not running.alive, running, seconds=5)
    refused(trial)
    found = running.outcome.value
    if not isinstance(found, dict):
        raise Mistake(f"{explain(running)} `make_app` should return the application.")
    early, status, text = found.values()
    case = trial.case
    links = {case.link_of(one) for one in case.messages if one.routing_key == ADDITION_QUEUE}
    if not links:
        raise Mistake(f"No request came to the queue `{ADDITION_QUEUE}`. The application replied {text}.")
    if len(links) > 1:
        raise Mistake(
            f"The application sent its requests over {len(links)} connections: it opens a client for each. That costs "
            "several round trips to the broker each time, and its memory. Open one client in the lifespan, and use it "
            "for all requests."
        )
    if early:
        raise Mistake(
            "`make_app` opens the client, before the application starts. A web server may make the application first "
            "and then fork its worker processes, and a connection belongs to one process. Open the client in the "
            "lifespan, which each worker process runs for itself."
        )
    if service.one_by_one:
        raise Mistake(
            "Two browsers asked at once, and the second request was sent only after the first had its reply: `call` "
            "holds the thread of the event loop. In a coroutine, `await client.call_async(...)`."
        )
    _responses(status, text)
    if not any(case.connections[link].end == BY_CLIENT for link in links):
        raise Mistake(
            "The application was shut down, and its client was not closed: the broker sees a connection that breaks "
            "off. Close it after the `yield` of the lifespan."
        )
    return (
        "Three requests went over one connection, which was opened with the application and closed with it. Two calls "
        "were in flight at the same time, and the one without a reply became 504."
    )


def _responses(status: list[int], text: list[str]) -> None:
    if status[:2] != [200, 200] or text[:2] != SUMS:
        raise Mistake(
            f"`{PAIR[0]}` and `{PAIR[1]}` should return 200 with `{SUMS[0]}` and `{SUMS[1]}`. They returned "
            f"{status[0]} with `{text[0]}` and {status[1]} with `{text[1]}`."
        )
    if status[2] == 500:
        raise Mistake(
            f"The service did not reply to `{SILENT}`, and the browser got 500, Internal Server Error: `RpcTimeout` "
            "left your function. The application is not broken, it waited for another program: catch the error and "
            "return 504, Gateway Timeout."
        )
    if status[2] != 504:
        raise Mistake(f"The service did not reply to `{SILENT}`, and the browser got {status[2]}. It should be 504.")


def take_all(take_parts: Callable) -> dict:
    """Call a function for each callback queue, on its own channel; runs in a process."""
    found: dict[str, object] = {}
    with connect(connection_parameters()) as connection:
        for queue in ROUNDS:
            try:
                found[queue] = take_parts(connection.channel(), queue)
            except ReplyLost:
                found[queue] = LOST
    return found


def each_part_once(trial: Trial, answer: Callable) -> str:
    """Put replies into four callback queues, and compare what the function makes of them."""
    trial.declare(*ROUNDS)
    for queue, (replies, _) in ROUNDS.items():
        for number, said in replies:
            kind, body = (END, "") if said == END else (None, said)
            trial.publish(queue, body, headers={NUMBER: number}, type=kind)
    running = trial.run("Client", take_all, answer)
    trial.wait(lambda: not running.alive, running, seconds=1.5)
    refused(trial)
    found = running.outcome.value
    if running.outcome.state == "running":
        raise Mistake(
            "The end came, and your function did not return. After the reply of the type `end` nothing more comes."
        )
    if not isinstance(found, dict):
        raise Mistake(explain(running))
    _parts(*found.values())
    return (
        "You took each part once: the second copies have a number that was there, and two parts with the same text "
        "have different numbers. A number that is missing is a lost part, also the last one before the end."
    )


def _parts(plain: object, again: object, gap: object, cut: object) -> None:
    if isinstance(plain, list) and "" in plain:
        raise Mistake(f"You returned `{plain}`: the last reply, of the type `end`, is no part. It has no body.")
    if plain == ["half", "done"]:
        raise Mistake(
            "Parts 1 and 2 have the same text, `half`, and you dropped one. Two parts may say the same: only the "
            "number shows whether a reply has come before."
        )
    if plain != ROUNDS["plain"][1]:
        raise Mistake(f"Three parts and the end came. You returned `{plain}`, not `['half', 'half', 'done']`.")
    if again == LOST:
        raise Mistake(
            "A worker was killed after part 2, and the next one began with part 1 again. You took that for a lost "
            "part. A number that has come before is a copy: drop it."
        )
    if again != ROUNDS["again"][1]:
        raise Mistake(
            "A worker was killed after part 2, and the next one began with part 1 again. You returned "
            f"`{again}`, not `['a', 'b', 'c']`."
        )
    if gap != LOST:
        raise Mistake(
            f"Part 2 never came: 3 followed 1. You returned `{gap}`, and the caller takes that for the whole report. "
            "Raise `rpclab.ReplyLost`."
        )
    if cut != LOST:
        raise Mistake(
            f"Part 2, the last one, never came. You returned `{cut}`, and the caller takes that for the whole report. "
            "The end has a number, too: 3 after part 1."
        )


def serve_shop(cls: type, folder: str) -> None:
    """Run the shop's server in the folder that has its database; in a process."""
    os.chdir(folder)
    serve(cls)


def one_order_per_key(trial: Trial, answer: type) -> str:
    """Order with the same key in two calls, after a restart, and with other keys and items."""
    with tempfile.TemporaryDirectory() as folder, closing(sqlite3.connect(Path(folder, DATABASE))) as database:
        database.execute("CREATE TABLE orders (number INTEGER PRIMARY KEY, key TEXT UNIQUE, item TEXT)")
        running = trial.run("ShopServer", serve_shop, answer, folder)
        until_consuming(trial, running, QUEUE)
        with RpcClient(QUEUE, codec=Json(), timeout=CALL_SECONDS) as client:
            _customers(trial, running, client)
        rows = database.execute("SELECT key, item FROM orders ORDER BY number").fetchall()
    if rows != [("A", "book"), ("B", "book")]:
        raise Mistake(f"The replies are right, and the table has {rows}. It should have one row for each key.")
    return (
        "Each key is one order: the second call got the reply of the first, also from a new process, and ordered "
        "nothing. Another customer got a book, too, and a key that came with another item was refused."
    )


def _customers(trial: Trial, running: Running, client: RpcClient) -> None:
    first = _order(trial, running, client, FIRST)
    if first != {"number": 1}:
        raise Mistake(f"The first order, with key `A`, should get `{{'number': 1}}`. It got `{first}`.")
    again = _order(trial, running, client, FIRST)
    if isinstance(again, RemoteError):
        raise Mistake(
            f"The customer sent the order `A` again, and got the error `{again}`. It was accepted the first time, and "
            "the customer does not know it: the second call should get the same reply."
        )
    if again != first:
        raise Mistake(f"The order `A` came again, in another call, and got `{again}`, not the first reply `{first}`.")
    other = _order(trial, running, client, OTHER)
    if other == first:
        raise Mistake(
            "Another customer ordered a book with key `B`, and got the reply to `A`: your server took the two for one "
            "order, because the item is the same. The key says which order it is."
        )
    if other != {"number": 2}:
        raise Mistake(f"Another customer's book, with key `B`, should get `{{'number': 2}}`. It got `{other}`.")
    running.kill()
    running.again()
    until_consuming(trial, running, QUEUE)
    after = _order(trial, running, client, FIRST)
    if after != first:
        raise Mistake(
            f"A new process runs now, and the order `A` came again. It got `{after}`, not `{first}`. What a process "
            "keeps in a variable ends with it, and a count changes: look up in the database what belongs to the key."
        )
    mixed_up = _order(trial, running, client, MIXED_UP)
    if not isinstance(mixed_up, RemoteError):
        raise Mistake(
            f"Key `A` came with another item, a pen, and got `{mixed_up}`: the customer believes that a pen was "
            "ordered. Raise an error, which says that the key was used for another order."
        )


def _order(trial: Trial, running: Running, client: RpcClient, order: dict) -> object:
    """Return the reply to an order, or the error that it was."""
    future = client.submit(order)
    until(trial, future.done, running)
    error = future.exception()
    if isinstance(error, RpcTimeout):
        raise Mistake(f"The order {order} got no reply.")
    if error and not isinstance(error, RemoteError):
        raise Mistake(f"The order {order} ended with `{type(error).__name__}: {error}`")
    return error or future.result()
