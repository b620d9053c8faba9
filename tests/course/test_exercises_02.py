"""Lesson 02: wrong answers that people give, and their diagnoses."""

from __future__ import annotations

from answers import test_a_mistake_gets_its_own_diagnosis as test_a_mistake_gets_its_own_diagnosis
from answers import test_another_good_way_is_right_as_well as test_another_good_way_is_right_as_well

QUEUE = '    channel.queue_declare("audit", durable=True)\n'
BIND = '    channel.queue_bind("audit", "requests", routing_key="add")\n'
BIND_TOO = BIND.replace('"add"', '"fib"')
AS_TOPIC = '    channel.exchange_declare("requests", exchange_type="topic", durable=True)\n'
DELETE = '    channel.exchange_delete("requests")\n'
PATTERN = '    channel.queue_bind("alarms", "events", routing_key="#.failed")\n'
UNBIND = '    channel.queue_unbind("audit", "events", routing_key="#")\n'

WRONG = {
    "02-copy-for-audit": {
        "one service": ([(BIND_TOO, "")], "is bound by `add` and got no copy of `fib`"),
        "a pattern": ([(BIND_TOO, ""), ('"add"', '"#"')], "bound by `#` and got no copy of `add`, `fib`.*like any oth"),
        "the queues' names": (
            [('"add"', '"addition"'), ('"fib"', '"fibonacci"')], "bound by `addition`, `fibonacci` and got no copy of",
        ),
        "no queue": ([(QUEUE, "")], "404.*queue `audit`, and no program has declared it"),
        "no binding": ([(BIND, ""), (BIND_TOO, "")], r"not bound to the exchange `requests` \(it is to: \(default\)\)"),
        "another exchange": (
            [('"requests"', '"amq.direct"')], r"not bound to the exchange `requests` .*\(default\), amq\.direct\)",
        ),
        "the exchange declared as topic": ([(BIND, AS_TOPIC + BIND)], "406 PRECONDITION_FAILED.*'type'"),
        "the exchange created again": (
            [(BIND, DELETE + AS_TOPIC + BIND)], "`addition` gets no more requests: .*deleted the exchange",
        ),
        "the exchange deleted": ([(BIND_TOO, BIND_TOO + DELETE)], "exchange `requests` was deleted"),
        "unbound from a service": (
            [(BIND, BIND + '    channel.queue_unbind("addition", "requests", "add")\n')], "has removed its binding",
        ),
        "a queue of one connection": ([("durable", "exclusive")], "no queue `audit` now: .*deleted with the conn"),
        "crossed": (
            [(BIND, BIND + '    channel.queue_bind("addition", "requests", "fib")\n')],
            "`addition` should get its own request, `add`. It got `add`, `fib`",
        ),
    },
    "02-every-failure": {
        "one word more": (
            [("#.failed", "*.*.failed")], r"`addition.failed` has 2 words, and none .*\(`\*\.\*\.failed`\).* 4 of 5",
        ),
        "one word or two": (
            [(PATTERN, PATTERN + PATTERN.replace("#.failed", "*.*.failed")), ("#.failed", "*.failed")],
            "`failed` has 1 word, and none of your patterns.* 3 of 5 failures are missed",
        ),
        "everything": ([("#.failed", "#")], "got events that are no failures: `addition.done`, .* Missed: nothing"),
        "failed anywhere": (
            [("#.failed", "#.failed.#")], "no failures: `failed.again`, `fibonacci.failed.twice`. Missed: nothing",
        ),
        "the wrong end": ([("#.failed", "failed.#")], "no failures: `failed.again`. Missed: `addition.failed`"),
        "within a word": ([("#.failed", "#failed")], "`#failed` matches no failure.*stand for whole words"),
        "not bound": ([(PATTERN, "")], "`alarms` is not bound"),
        "no topic": ([('"topic"', '"direct"')], "406 PRECONDITION_FAILED.*'type'"),
    },
    "02-left-behind": {
        "created again": (
            [(QUEUE, '    channel.queue_delete("audit")\n' + QUEUE)], "deleted the queue.*fibonacci.started.* is lost",
        ),
        "purged": (
            [(UNBIND, '    channel.queue_purge("audit")\n')], "purged the queue.* and the binding .* still exists",
        ),
        "unbound by another key": (
            [(UNBIND, UNBIND.replace("#", "*"))], r"binding of `audit` to `events` by `\*`. There was none",
        ),
        "bound by another key": (
            [('"fibonacci.#"', '"fibonacci.*"')], r"got no `fibonacci`, .*bound by: `fibonacci\.\*`",
        ),
        "unbound and not bound": ([("queue_bind", "queue_unbind")], "got no `fibonacci`, .*bound by: nothing"),
        "a declaration more": (
            [(UNBIND, '    channel.exchange_declare("events", exchange_type="topic", durable=True)\n')],
            "still gets `addition.done`, `addition.failed`: it is bound by `#`, `fibonacci.#`",
        ),
        "the exchange created again": (
            [(QUEUE, QUEUE + '    channel.exchange_delete("events")\n    channel.exchange_declare("events", '
                             'exchange_type="topic", durable=True)\n')],
            "`alarms` belongs to another program.* It got nothing",
        ),
        "taken out by hand": (
            [(QUEUE, QUEUE + '    channel.basic_get("audit", auto_ack=True)\n')], "before your code began, and",
        ),
    },
}

ALSO_RIGHT = {
    "02-copy-for-audit": {
        "in a loop": """
def listen(channel):
    channel.queue_declare("audit", durable=True)
    for key in ("add", "fib"):
        channel.queue_bind("audit", "requests", key)
""",
        "by way of another exchange": """
def listen(channel):
    channel.exchange_declare("copies", exchange_type="fanout", durable=True)
    for key in ("add", "fib"):
        channel.exchange_bind("copies", "requests", routing_key=key)
    channel.queue_declare("audit", durable=True)
    channel.queue_bind("audit", "copies")
""",
    },
    "02-every-failure": {
        "twice": """
def watch(channel):
    channel.exchange_declare("events", exchange_type="topic", durable=True)
    channel.queue_declare("alarms", durable=True)
    for pattern in ("#.failed", "*.failed", "failed"):
        channel.queue_bind("alarms", "events", routing_key=pattern)
""",
    },
    "02-left-behind": {
        "unbound first": """
def subscribe(channel):
    channel.queue_unbind("audit", "events", routing_key="#")
    channel.queue_declare("audit", durable=True)
    channel.queue_bind("audit", "events", routing_key="fibonacci.#")
""",
    },
}
