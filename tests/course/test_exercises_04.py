"""Lesson 04: wrong answers that people give, and their diagnoses."""

from __future__ import annotations

from answers import test_a_mistake_gets_its_own_diagnosis as test_a_mistake_gets_its_own_diagnosis
from answers import test_another_good_way_is_right_as_well as test_another_good_way_is_right_as_well

ACK = "        ch.basic_ack(delivery_tag=method.delivery_tag)\n"
AGAIN = "        if method.redelivered:\n"
WORK = "        self.work(body)\n"
REJECT = "ch.basic_reject(method.delivery_tag, requeue=False)"
OWN = "        ch.basic_ack(method.delivery_tag)\n"
PUBLISH = '        self.outgoing.basic_publish("", "archive", body)\n'

WRONG = {
    "04-ack-after-work": {
        "acknowledged before the work": (
            [(WORK + ACK, ACK + WORK)],
            "acknowledged before the work: when the worker was killed .* already forgotten .* 2 of 3 reports were left",
        ),
        "auto_ack": (
            [("    def work", '    def start(self):\n        self.channel.basic_consume("reports", self.on_request, '
                             "auto_ack=True)\n        self.channel.start_consuming()\n\n    def work"), (ACK, "")],
            r"`auto_ack=True`.* 0 of 3 reports were left",
        ),
        "never acknowledged": ([(ACK, "")], r"never acknowledged `report 1`.*\(1 in the queue's count\).*\(2 wait\)"),
        "acknowledged twice": ([(ACK, ACK + ACK)], "acknowledged the same delivery twice"),
        "no work at all": ([(WORK, "")], r"acknowledged it without the work: it has to call `self\.work\(body\)`"),
        "rejected after the work": (
            [(ACK, "        ch.basic_reject(method.delivery_tag, requeue=False)\n")], "processed and then rejected",
        ),
        "requeued after the work": (
            [(ACK, "        ch.basic_reject(method.delivery_tag)\n")], "requeued again and again",
        ),
        "early the second time": (
            [(ACK, f"        if not method.redelivered:\n    {ACK}"), (WORK, f"{AGAIN}    {ACK}{WORK}")],
            "`report 1` was acknowledged before its work",
        ),
    },
    "04-end-the-loop": {
        "still requeued": (
            [(REJECT, "ch.basic_reject(method.delivery_tag)")], "still loops.* more than 20 times",
        ),
        "acknowledged": (
            [(REJECT, "ch.basic_ack(method.delivery_tag)")], "you acknowledged it, and `sums.dead` is empty",
        ),
        "raised": ([(REJECT, "raise")], "ends the next one too. Your code raised `ValueError.*`on_request`, at `x, y"),
        "all rejected": (
            [("        ch.basic_ack(method.delivery_tag)\n", "        raise ValueError\n")],
            "good requests are not: 2 of 2 totals are in `totals`,",
        ),
    },
    "04-own-channel": {
        "on both channels": (
            [(OWN, OWN + "        self.outgoing.basic_ack(method.delivery_tag)\n")], "on another channel than the one",
        ),
        "twice": ([(OWN, OWN + OWN)], "acknowledged the same delivery twice"),
        "a made-up tag": ([(OWN, "        ch.basic_ack(method.delivery_tag + 7)\n")], "tag that was never delivered"),
        "never": ([(OWN, "")], "`letter 1` was delivered and not acknowledged.* 2 letters wait"),
        "nothing archived": ([(PUBLISH, "")], "`archive` holds 0 of 3"),
    },
}

ALSO_RIGHT = {
    "04-ack-after-work": {
        "with finally": """
class ReportServer(rpclab.BaseServer):
    def __init__(self):
        super().__init__("reports")

    def on_request(self, ch, method, properties, body):
        try:
            self.work(body)
        finally:
            ch.basic_ack(method.delivery_tag)
""",
        "work in a thread": """
import threading

class ReportServer(rpclab.BaseServer):
    def __init__(self):
        super().__init__("reports")

    def on_request(self, ch, method, properties, body):
        def run():
            self.work(body)
            self.connection.add_callback_threadsafe(lambda: ch.basic_ack(method.delivery_tag))

        threading.Thread(target=run).start()
""",
    },
    "04-end-the-loop": {
        "a second try, then rejected": """
def on_request(ch, method, properties, body):
    x, comma, y = body.decode().partition(",")
    if not (x.isdigit() and y.isdigit()):
        return ch.basic_nack(method.delivery_tag, requeue=not method.redelivered)
    ch.basic_publish("", "totals", str(int(x) + int(y)))
    ch.basic_ack(method.delivery_tag)
""",
        "quarantined by hand": """
def on_request(ch, method, properties, body):
    try:
        total = sum(map(int, body.split(b",")))
    except ValueError:
        ch.basic_publish("", "sums.dead", body)
    else:
        ch.basic_publish("", "totals", str(total))
    ch.basic_ack(method.delivery_tag)
""",
    },
    "04-own-channel": {
        "one channel for both": """
class Archivist(rpclab.BaseServer):
    def __init__(self):
        super().__init__("letters")

    def on_request(self, ch, method, properties, body):
        ch.basic_publish("", "archive", body)
        ch.basic_ack(method.delivery_tag)
""",
    },
}
