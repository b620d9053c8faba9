"""Lesson 09: the wrong answers that people give, and what they are told."""

from __future__ import annotations

import pytest
from cells import assert_says, cell, changed

from rpclab.course import catalogue

ACK = "        ch.basic_ack(method.delivery_tag)\n"
REMEMBER = 'super().__init__("orders", remember=60)'
ORDER = "        self.order(body)\n"
BURY = '            ch.basic_publish("", "photos.dead", body, props)\n'
ERROR_TYPE = '            reply.type = "error"\n'
REPLY = '        ch.basic_publish("", props.reply_to, answer, reply)\n'
CAUGHT = "(rpclab.RpcTimeout, rpclab.ConnectionLost)"
RAISE = "            if attempt == 3:\n                raise\n"

# Takes the place of the solution: a server with a queue as the memory, for what it was asked to do under some name.
BY_HAND = """
class OrderServer(rpclab.BaseServer):
    def __init__(self):
        super().__init__("orders")

    def on_request(self, ch, method, props, body):
        done = "done " + {name}
        if not ch.queue_declare(done, durable=True).method.message_count:
            self.order(body)
            ch.basic_publish("", done, body)
        ch.basic_publish("", props.reply_to, "ordered", pika.BasicProperties(correlation_id=props.correlation_id))
        ch.basic_ack(method.delivery_tag)
"""

WRONG = {
    "09-order-once": {
        "a memory that dies with its process": (
            [(REMEMBER, 'super().__init__("orders"); self.done = set()'),
             (ORDER, "        if body not in self.done:\n            self.order(body)\n        self.done.add(body)\n")],
            "ordered twice.* the third ordered it once more.*in its variables",
        ),
        "redelivered is taken for done": (
            [(REMEMBER, 'super().__init__("orders")'), ("    def handle", """\
    def on_request(self, ch, method, props, body):
        if method.redelivered:
            ch.basic_ack(method.delivery_tag)
        else:
            super().on_request(ch, method, props, body)

    def handle""")],
            "Nobody has ordered `a book`.*took the request, which was marked redelivered, for one that is done",
        ),
        "acknowledged before the work": (
            [(REMEMBER, 'super().__init__("orders")'), ("    def handle", """\
    def on_request(self, ch, method, props, body):
        ch.basic_ack(method.delivery_tag)
        self.handle(body)

    def handle""")],
            "killed before it had ordered `a book`, and had acknowledged it already.*not twice, but never",
        ),
        "never ordered": ([(ORDER, "")], "not ordered: your server has to call `self.order"),
    },
    "09-answer-errors": {
        "still only printed": (
            [(ERROR_TYPE, "            return ch.basic_ack(method.delivery_tag)\n")],
            "which it would also get if no server ran.*acknowledged it, and published no reply",
        ),
        "refused": (
            [(ERROR_TYPE, "            return ch.basic_reject(method.delivery_tag, requeue=False)\n")],
            "refused it, which tells the broker, and not the caller, and published no reply",
        ),
        "given back": (
            [(ERROR_TYPE, "            return ch.basic_nack(method.delivery_tag)\n")], "comes again, more than 20",
        ),
        "neither answered nor acknowledged": ([(ERROR_TYPE, "            return\n")], "stays unacked.*RpcTimeout"),
        "raised": ([(ERROR_TYPE, "            raise\n")], "ended the server, is back in the queue.*`ValueError"),
        "not marked as an error": ([(ERROR_TYPE, "")], "property `type` is not `error`.*failed to read it"),
        "a sum that stands for an error": (
            [(ERROR_TYPE, ""), ('json.dumps({"type": "ValueError", "message": str(error)})', '"-1"')],
            "was told that the sum is `-1`",
        ),
        "no JSON": (
            [('json.dumps({"type": "ValueError", "message": str(error)})', "str(error)")], "is not the JSON object",
        ),
        "no correlation id": (
            [("correlation_id=props.correlation_id", "")], "without the correlation id.*cannot know what it answers",
        ),
        "answered and not acknowledged": ([(ACK, "")], "answered with an error and not acknowledged"),
        "nothing but errors": ([("str(int(x) + int(y))", "str(int(y) + int('x'))")], "the next request.*is not"),
    },
    "09-put-poison-aside": {
        "a try around it": (
            [("if method.redelivered:", "if False:"), ("        ch.basic_ack", "        for _ in ():\n            "
              "pass\n        ch.basic_ack")],
            "4 workers have died of `huge`.*`dog` waits behind it",
        ),
        "acknowledged first": (
            [(ACK, ""), ("        if method.redelivered:", ACK + "        if method.redelivered:")],
            "acknowledged before its work, and the worker died of it afterwards",
        ),
        "dropped": ([(BURY, "            pass\n")], "kills nobody any more, and is gone: `photos.dead` is empty"),
        "given back": (
            [(BURY, "            return ch.basic_nack(method.delivery_tag)\n")], "goes round instead.*more than 20",
        ),
        "everything buried": (
            [(BURY, f'{BURY}        elif body == b"dog":\n{BURY}')], "holds 2.*1 of the 2 photos that are harmless",
        ),
    },
    "09-ask-again": {
        "for ever": ([("for attempt in (1, 2, 3):", "attempt = 0\n    while True:")], "asked more than 5 times"),
        "errors as well": ([(CAUGHT, "rpclab.LabError")], "`1,two` was asked 3 times.*it is the same request"),
        "not after a lost connection": ([(CAUGHT, "rpclab.RpcTimeout")], "connection broke.*not asked again"),
        "not after a time-out": ([(CAUGHT, "rpclab.ConnectionLost")], "was asked once; the task says 3 times"),
        "more patient than the check": (
            [("call(x, y)", "call(x, y, timeout=60)")], "`9,9` was asked, and your function did not come back",
        ),
        "an error of its own": ([(RAISE, RAISE.replace("raise", "1 / 0"))], "no error of the client.*ZeroDivision"),
        "no request": ([("client.call(x, y)", "int(x) + len(y)")], "The service got no request"),
        "nobody is told": ([(RAISE, "            pass\n")], "ended with `None` instead of the error `RpcTimeout`"),
        "an error becomes None": (
            [(RAISE, RAISE + "        except rpclab.RemoteError:\n            return None\n")],
            "ended with `None` instead of the error `RemoteError`",
        ),
        "the answer is not returned": ([("return client", "client")], "with `8`, and your function returned `None`"),
    },
}

ALSO_RIGHT = {
    "09-order-once": {"a memory by hand": BY_HAND.format(name="props.correlation_id")},
    "09-answer-errors": {
        "as a service": """
class AdditionServer(rpclab.RpcServer):
    def __init__(self):
        super().__init__(rpclab.ADDITION_QUEUE)

    def handle(self, body):
        return sum(map(int, body.split(",")))
""",
    },
    "09-put-poison-aside": {
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
    "09-ask-again": {
        "recursively": """
def ask(client, x, y, tries=3):
    try:
        return client.call(x, y)
    except (rpclab.RpcTimeout, rpclab.ConnectionLost):
        if tries == 1:
            raise
    return ask(client, x, y, tries - 1)
""",
        "all but the errors of the service": """
def ask(client, x, y):
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


@pytest.mark.parametrize(("id", "mistake"), [(id, mistake) for id in WRONG for mistake in WRONG[id]])
def test_a_mistake_gets_its_own_diagnosis(id, mistake):
    exercise = catalogue.exercise(id)
    changes, words = WRONG[id][mistake]
    assert_says(exercise.check(changed(exercise, *changes)), "wrong", words)


@pytest.mark.parametrize(("id", "way"), [(id, way) for id in ALSO_RIGHT for way in ALSO_RIGHT[id]])
def test_another_good_way_is_right_as_well(id, way):
    exercise = catalogue.exercise(id)
    assert_says(exercise.check(cell(ALSO_RIGHT[id][way], exercise.name)), "right", "")


def test_a_memory_of_bodies_takes_the_second_customer_for_the_first():
    exercise = catalogue.exercise("09-order-once")
    verdict = exercise.check(cell(BY_HAND.format(name="body.decode()"), exercise.name))
    assert_says(verdict, "wrong", "somebody else wanted `a book`.*Two requests may have the same body")
