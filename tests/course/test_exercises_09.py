"""Lesson 09: wrong answers that people give, and their diagnoses."""

from __future__ import annotations

from answers import test_a_mistake_gets_its_own_diagnosis as test_a_mistake_gets_its_own_diagnosis
from answers import test_another_good_way_is_right_as_well as test_another_good_way_is_right_as_well
from cells import assert_says, cell

from rpclab.course import catalogue

ACK = "        ch.basic_ack(method.delivery_tag)\n"
REMEMBER = 'super().__init__("orders", remember=60)'
ORDER = "        self.order(body)\n"
BURY = '            ch.basic_publish("", "photos.dead", body, properties)\n'
ERROR_TYPE = '            reply.type = "error"\n'
CAUGHT_JSON = "except (ValueError, KeyError, TypeError) as error"
CAUGHT = "(rpclab.RpcTimeout, rpclab.ConnectionLost)"
RAISE = "            if attempt == 3:\n                raise\n"

ACKED_FIRST = ("    def handle", """\
    def on_request(self, ch, method, properties, body):
        ch.basic_ack(method.delivery_tag)
        self.handle(body)

    def handle""")

# Replaces the solution: a server whose memory is a queue for each name.
BY_HAND = """
class OrderServer(rpclab.BaseServer):
    def __init__(self):
        super().__init__("orders")

    def on_request(self, ch, method, properties, body):
        done = "done " + {name}
        if not ch.queue_declare(done, durable=True).method.message_count:
            self.order(body)
            ch.basic_publish("", done, body)
        reply = pika.BasicProperties(correlation_id=properties.correlation_id)
        ch.basic_publish("", properties.reply_to, "ordered", reply)
        ch.basic_ack(method.delivery_tag)
"""

WRONG = {
    "09-order-once": {
        "a memory that dies with its process": (
            [(REMEMBER, 'super().__init__("orders"); self.done = set()'),
             (ORDER, "        if body not in self.done:\n            self.order(body)\n        self.done.add(body)\n")],
            "ordered twice.* the third worker ordered it once more.*the variables of a dead one",
        ),
        "redelivered is taken for done": (
            [(REMEMBER, 'super().__init__("orders")'), ("    def handle", """\
    def on_request(self, ch, method, properties, body):
        if method.redelivered:
            ch.basic_ack(method.delivery_tag)
        else:
            super().on_request(ch, method, properties, body)

    def handle""")],
            "No worker has ordered `a book`.*took the request, which was marked redelivered, for one that is done",
        ),
        "acknowledged before the work": (
            [("rpclab.RpcServer", "rpclab.BaseServer"), (REMEMBER, 'super().__init__("orders")'), ACKED_FIRST],
            "killed before it had ordered `a book`, and had acknowledged it already.*no worker ever orders",
        ),
        # Its channel sends what it is given when `on_request` has returned.
        "acknowledged by hand in a server that would do so itself": (
            [(REMEMBER, 'super().__init__("orders")'), ACKED_FIRST], "second worker took `a book` and did not reply",
        ),
        "never ordered": ([(ORDER, "")], "not ordered: your server must call `self.order"),
    },
    "09-json-version": {
        "nothing is caught": ([(CAUGHT_JSON, "except ZeroDivisionError")], "`3,5` ended the server. It is requeued"),
        "acknowledged, and then not caught": (
            [(CAUGHT_JSON, "except ZeroDivisionError"), (ACK, ""), ("        try:\n", ACK + "        try:\n")],
            "`3,5` ended the server. Your code raised `JSONDecodeError",
        ),
        "only what is no JSON is caught": (
            [(CAUGHT_JSON, "except json.JSONDecodeError as error")],
            "`{.version.: 3, .x.: 3, .y.: 5}` ended the server",
        ),
        "an unknown version is taken for the first": (
            [(" not in (1, 2)", " is None")], "got the reply `{.version.: 3, .sum.: 8}`.*Version 3 is unknown",
        ),
        "a version that is missing is taken for the first": (
            [('request = json.loads(body)', 'request = {"version": 1, **json.loads(body)}'), ],
            "`{.x.: 3, .y.: 5}` got the reply.*does not say its version",
        ),
        "only printed": (
            [(ERROR_TYPE, "            return ch.basic_ack(method.delivery_tag)\n")],
            "`3,5` was acknowledged and got no reply",
        ),
        "rejected": (
            [(ERROR_TYPE, "            return ch.basic_reject(method.delivery_tag, requeue=False)\n")],
            "`3,5` was rejected and got no reply",
        ),
        "requeued": (
            [(ERROR_TYPE, "            return ch.basic_nack(method.delivery_tag)\n")], "`3,5` loops.*more than 20",
        ),
        "neither answered nor acknowledged": (
            [(ERROR_TYPE, "            return\n")], "`3,5` stays unacked and got no reply.*until its deadline",
        ),
        "not marked as an error": ([(ERROR_TYPE, "")], "takes for an answer: the reply's property `type` is not"),
        "an error that is no JSON": (
            [("json.dumps(answer)", 'json.dumps(answer) if "sum" in answer else str(answer)')],
            "is not a JSON object with `type` and `message`",
        ),
        "no correlation id": (
            [("correlation_id=properties.correlation_id", "")], "does not have its request's correlation id",
        ),
        "errors are not acknowledged": (
            [(ACK, '        if "sum" in answer:\n    ' + ACK)], "got its error reply and was not acknowledged",
        ),
        "errors alone are acknowledged": (
            [(ACK, '        if "sum" not in answer:\n    ' + ACK)], "`{.version.: 2,.*got `RpcTimeout",
        ),
        "always the newest version": (
            [('{"version": request["version"], "sum"', '{"version": 2, "sum"')],
            "got the reply `{.version.: 2, .sum.: 8}`. Its client knows version 1 and no other",
        ),
        "a wrong sum": ([("sum(numbers)", "sum(numbers[:2])")], "It should be `{.version.: 2, .sum.: 15}`"),
        "no JSON any more": (
            [("json.dumps(answer)", 'str(answer["sum"]) if "sum" in answer else json.dumps(answer)')],
            "got the reply `8`. Its client knows version 1",
        ),
        "version 2 is unknown": (
            [("(1, 2)", "(1,)")], "`{.version.: 2, .numbers.: .3, 5, 7.}` is a good request.*client got `Remote",
        ),
    },
    "09-quarantine-poison": {
        "a try around it": (
            [("if method.redelivered:", "if False:"), ("        ch.basic_ack", "        for _ in ():\n            "
              "pass\n        ch.basic_ack")],
            "`huge` has killed 4 workers.*before `dog`, which no worker has reached",
        ),
        "acknowledged first": (
            [(ACK, ""), ("        if method.redelivered:", ACK + "        if method.redelivered:")],
            "acknowledged before its work, and then killed its worker",
        ),
        "dropped": ([(BURY, "            pass\n")], "kills no worker any more, and is lost: `photos.dead` is empty"),
        "requeued": (
            [(BURY, "            return ch.basic_nack(method.delivery_tag)\n")], "loops: it was requeued more than 20",
        ),
        "everything buried": (
            [(BURY, f'{BURY}        elif body == b"dog":\n{BURY}')], "holds 2. Of the 2 harmless photos, 1 got a reply",
        ),
    },
    "09-call-again": {
        "forever": ([("for attempt in (1, 2, 3):", "attempt = 0\n    while True:")], "sent more than 5 times"),
        "errors as well": ([(CAUGHT, "rpclab.LabError")], "`1,two` was sent 3 times.*it is the same request"),
        "not after a lost connection": ([(CAUGHT, "rpclab.RpcTimeout")], "connection was cut.*not sent again"),
        "not after a timeout": ([(CAUGHT, "rpclab.ConnectionLost")], "was sent once; the task says 3 times"),
        "more patient than the check": (
            [("call(x, y)", "call(x, y, timeout=60)")], "`9,9` was sent, and your function did not return",
        ),
        "an error of its own": ([(RAISE, RAISE.replace("raise", "1 / 0"))], "no error of the client.*ZeroDivision"),
        "no request": ([("client.call(x, y)", "int(x) + len(y)")], "The service got no request"),
        "the error is not raised": ([(RAISE, "            pass\n")], "ended with `None` instead of the error "
        "`RpcTimeout`"),
        "an error becomes None": (
            [(RAISE, RAISE + "        except rpclab.RemoteError:\n            return None\n")],
            "ended with `None` instead of the error `RemoteError`",
        ),
        "the answer is not returned": ([("return client", "client")], "with `8`, and your function returned `None`"),
    },
}

ALSO_RIGHT = {
    "09-order-once": {"a memory by hand": BY_HAND.format(name="properties.correlation_id")},
    "09-json-version": {
        "as a service": """
class AdditionServer(rpclab.RpcServer):
    def __init__(self):
        super().__init__(rpclab.ADDITION_QUEUE)

    def handle(self, body):
        import json
        request = json.loads(body)
        numbers = {1: lambda: [request["x"], request["y"]], 2: lambda: request["numbers"]}[request["version"]]()
        return json.dumps({"version": request["version"], "sum": sum(numbers)})
""",
    },
    "09-quarantine-poison": {
        "counted by the service": """
class PhotoServer(rpclab.RpcServer):
    def __init__(self):
        super().__init__("photos", max_deliveries=3)

    def shrink(self, photo):
        return "a small " + photo

    def handle(self, body):
        return self.shrink(body)
""",
        "counted by a quorum queue": """
class PhotoServer(rpclab.RpcServer):
    def __init__(self):
        super().__init__("photos", max_deliveries=2, queue_type="quorum")

    def shrink(self, photo):
        return "a small " + photo

    def handle(self, body):
        return self.shrink(body)
""",
    },
    "09-call-again": {
        "recursively": """
def add(client, x, y, tries=3):
    try:
        return client.call(x, y)
    except (rpclab.RpcTimeout, rpclab.ConnectionLost):
        if tries == 1:
            raise
    return add(client, x, y, tries - 1)
""",
        "all but the errors of the service": """
def add(client, x, y):
    for _ in range(2):
        try:
            return client.call(x, y)
        except rpclab.RemoteError:
            raise
        except rpclab.RpcError as error:
            print(error)
    return client.call(x, y)
""",
    },
}


def test_a_memory_of_bodies_takes_the_second_customer_for_the_first():
    exercise = catalogue.exercise("09-order-once")
    verdict = exercise.check(cell(BY_HAND.format(name="body.decode()"), exercise.name))
    assert_says(verdict, "wrong", "another customer ordered `a book`.*Two requests may have the same body")
