"""Lesson 13: typical wrong answers, and the diagnosis each gets."""

from __future__ import annotations

from answers import test_a_mistake_gets_its_own_diagnosis as test_a_mistake_gets_its_own_diagnosis
from answers import test_another_good_way_is_right_as_well as test_another_good_way_is_right_as_well

OPEN_IN_LIFESPAN = "    with rpclab.AddClient(timeout=1) as app.state.client:\n        yield\n"
MAKE = "def make_app():\n"
AWAITED = "await request.app.state.client.call_async(x, y)"
CATCH = """        try:
            return JSONResponse({"sum": await request.app.state.client.call_async(x, y)})
        except rpclab.RpcTimeout as error:
            return JSONResponse({"error": str(error)}, status_code=504)
"""
DROP = "        if number <= len(parts):\n            continue\n"
GAP = "        if number > len(parts) + 1:\n"
END = '        if properties.type == "end":\n            return parts\n'
APPEND = "        parts.append(body.decode())\n"
IGNORE = "INSERT OR IGNORE"
COMPARE = '        if item != order["item"]:\n            raise ValueError("this key was used for another order")\n'
LOOK_UP = '"SELECT number, item FROM orders WHERE key = ?", row[:1])'

WRONG = {
    "13-one-client": {
        "a client for each request": (
            [(CATCH, '        with rpclab.AddClient(timeout=1) as own:\n'
                     '            return JSONResponse({"sum": await own.call_async(x, y)})\n')],
            "over [34] connections: it opens a client for each",
        ),
        "opened with the application": (
            [(MAKE, MAKE + "    client = rpclab.AddClient(timeout=1)\n"), ("request.app.state.client", "client")],
            r"`make_app` opens the client.*fork.*lifespan",
        ),
        "blocks the loop": ([(AWAITED, "request.app.state.client.call(x, y)")], "holds the thread of the event loop"),
        "500": ([("except rpclab.RpcTimeout", "except ZeroDivisionError")], "500, Internal Server Error: `RpcTimeout`"),
        "503": ([("504", "503")], "the browser got 503. It should be 504"),
        "not closed": (
            [(OPEN_IN_LIFESPAN, "    app.state.client = rpclab.AddClient(timeout=1)\n    yield\n")],
            "its client was not closed.*after the `yield`",
        ),
        "adds by itself": ([(AWAITED, "x + y")], "No request came to the queue `addition`"),
        "another name": ([('"sum"', '"total"')], r'They returned 200 with `\{"total":8\}`'),
        "no application": ([("    return Starlette(", "    Starlette(")], "`make_app` should return the application"),
    },
    "13-each-part-once": {
        "the end is a part": ([(END + APPEND, APPEND + END)], "the last reply, of the type `end`, is no part"),
        "by their text": (
            [(DROP, "        if body.decode() in parts:\n            continue\n"), (GAP, "        if False:\n")],
            "have the same text, `half`, and you dropped one",
        ),
        "copies are kept": (
            [(DROP, ""), (GAP, "        if False:\n")], r"began with part 1 again\. You returned `\['a', 'b'",
        ),
        "a copy is a gap": (
            [(DROP, ""), (GAP, "        if number != len(parts) + 1:\n")], "took that for a lost part.*a copy: drop",
        ),
        "no gap": ([(GAP, "        if False:\n")], "Part 2 never came: 3 followed 1"),
        "the end has no number": (
            [(GAP, '        if number > len(parts) + 1 and properties.type != "end":\n')],
            "Part 2, the last one, never came",
        ),
        "waits for more": ([(END, "")], "The end came, and your function did not return"),
        "another error": ([("rpclab.ReplyLost", "LookupError")], "raised `LookupError: reply 2 is missing"),
        "returns bytes": ([("body.decode()", "body")], "You returned `.b'half', b'half', b'done'.`"),
    },
    "13-one-order-per-key": {
        "refused again": ([(IGNORE, "INSERT")], "IntegrityError.*It was accepted the first time"),
        "in a variable": (
            [("version=1))\n", "version=1))\n        self.known = {}\n"),
             ("        with sqlite3", "        if order['key'] in self.known:\n"
                                     "            return self.known[order['key']]\n        with sqlite3"),
             (IGNORE, "INSERT"), ('return {"number": number}', 'return self.known.setdefault(order["key"], '
                                                              '{"number": number})')],
            "A new process runs now.*What a process keeps in a variable ends with it",
        ),
        "by its item": (
            [(LOOK_UP, '"SELECT number, item FROM orders WHERE item = ?", row[1:])')],
            "Another customer ordered a book.*got the reply to `A`",
        ),
        "the last number": (
            [(LOOK_UP, '"SELECT max(number), item FROM orders")')], r"A new process runs now.*got `\{'number': 2\}`",
        ),
        "any item": ([(COMPARE, "")], "a pen, and got .*believes that a pen was ordered"),
        "an order for each call": (
            [(IGNORE + " INTO orders (key, item) VALUES (?, ?)\", row)",
              'INSERT INTO orders (key, item) VALUES (hex(randomblob(8)), ?)", row[1:])'),
             (LOOK_UP, '"SELECT max(number), item FROM orders")')],
            r"came again, in another call, and got `\{'number': 2\}`",
        ),
        "counts from 0": ([('{"number": number}', '{"number": number - 1}')], "first order, with key `A`, should get"),
    },
}

ALSO_RIGHT = {
    "13-one-client": {
        "a plain function, which Starlette runs in a thread": """
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, JSONResponse
from starlette.routing import Route

def make_app():
    @asynccontextmanager
    async def lifespan(app):
        app.state.client = rpclab.RpcClient("addition", timeout=1)
        yield
        app.state.client.close()

    def add(request):
        try:
            said = request.app.state.client.call("{x},{y}".format(**request.path_params))
        except rpclab.RpcTimeout:
            return PlainTextResponse("too late", 504)
        return JSONResponse({"sum": int(said)})

    return Starlette(routes=[Route("/add/{x}/{y}", add)], lifespan=lifespan)
""",
    },
    "13-each-part-once": {
        "a dictionary by number, compared at the end": """
def take_parts(channel, callback_queue):
    parts = {}
    for method, properties, body in channel.consume(callback_queue):
        channel.basic_ack(method.delivery_tag)
        number = properties.headers["x-rpclab-number"]
        if properties.type == "end":
            if set(parts) != set(range(1, number)):
                raise rpclab.ReplyLost("a part is missing")
            return [parts[one] for one in sorted(parts)]
        parts.setdefault(number, body.decode())
""",
    },
    "13-one-order-per-key": {
        "looks first, and again if another process was quicker": """
import sqlite3

class ShopServer(rpclab.RpcServer):
    def __init__(self):
        super().__init__("shop", self.order, codec=rpclab.Json(version=1))
        self.db = sqlite3.connect("shop.db", check_same_thread=False, isolation_level=None)

    def order(self, order):
        row = order["key"], order["item"]
        try:
            return {"number": self.db.execute("INSERT INTO orders (key, item) VALUES (?, ?)", row).lastrowid}
        except sqlite3.IntegrityError:
            found = self.db.execute("SELECT number FROM orders WHERE key = ? AND item = ?", row).fetchone()
            return {"number": found[0]}
""",
    },
}
