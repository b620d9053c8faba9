"""Lesson 01: wrong answers that people give, and their diagnoses."""

from __future__ import annotations

from answers import test_a_mistake_gets_its_own_diagnosis as test_a_mistake_gets_its_own_diagnosis
from answers import test_another_good_way_is_right_as_well as test_another_good_way_is_right_as_well

DECLARE = '    channel.queue_declare("addition", durable=True)\n'
SEND = '    channel.basic_publish(exchange="", routing_key="addition", body=body)\n'
CONFIRM = "    channel.confirm_delivery()\n"
HEADERS = 'headers={"reply_to": "addition_callback", "correlation_id": id}'
PROPERTIES = 'reply_to="addition_callback", correlation_id=id'
BODY = 'body=f"{x},{y}"'
LEDGER = '    channel.queue_declare("ledger", durable=True)\n'
MODE = ", delivery_mode=pika.DeliveryMode.Persistent"

WRONG = {
    "01-fix-the-sender": {
        "no queue": ([(DECLARE, "")], "key `addition`, on a broker without any queue: it was dropped"),
        "another key": (
            [('key="addition"', 'key="Addition"')],
            r"a queue now \(`addition`\), and `3,5` was published with the key `Addition`. It matches no queue",
        ),
        "another queue": (
            [('"addition"', '"Addition"')], "`Addition`. It went into that queue, which no server reads",
        ),
        "declared afterwards": ([(DECLARE, ""), (SEND, SEND + DECLARE)], "and is empty.* before you declared it"),
        "a queue that the server does not want": (
            [(", durable=True", "")],
            "server declared.*rejected that: `406 PRECONDITION_FAILED.*'durable'|`addition` is not durable, "
            "and this broker refuses",
        ),
        "for one connection": ([("durable", "exclusive")], "deleted it when your program closed"),
        "created again each time": (
            [(DECLARE, '    channel.queue_delete("addition")\n' + DECLARE)], "`addition` holds 1 instead of 2",
        ),
        "no such exchange": ([('exchange=""', 'exchange="default"')], "404 NOT_FOUND - no exchange 'default'"),
        "nothing sent": ([(SEND, "")], "no message with the body `3,5` has crossed the wire"),
    },
    "01-know-it-arrived": {
        "not mandatory": ([(", mandatory=True", "")], "silently. It even confirmed it.*True, True, True"),
        "neither": ([(", mandatory=True", ""), (CONFIRM, "")], "silently. A message that must.*True, True, True"),
        "not confirmed": ([(CONFIRM, "")], r"returned `1,2` \(NO_ROUTE\), too late: `basic_publish` had returned"),
        "not caught": (
            [("        return False", "        raise")], "`UnroutableError`, which your code did not catch",
        ),
        "caught and not reported": ([("return False", "pass")], "`True` anyway"),
        "says nothing of success": ([("    return True\n", "")], r"`\[True, False, True\]`.*`\[None, False, None\]`"),
        "declared the queue": (
            [(CONFIRM, CONFIRM + "    channel.queue_declare(queue, durable=True)\n")],
            "Your code has declared the queue `Addition`",
        ),
        "asked before": (
            [("        channel.basic", "        channel.queue_declare(queue, passive=True)\n        channel.basic"),
             ("UnroutableError", "ChannelClosedByBroker")],
            "Between the two a queue can be declared or deleted",
        ),
        "publishes nothing": (
            [('        channel.basic_publish(exchange="", routing_key=queue, body=body, mandatory=True)\n',
              '        if queue == "Addition":\n            return False\n')],
            "No message `1,2` was published",
        ),
    },
    "01-say-where-to": {
        "no text": (
            [(BODY, "body=(x, y)")], "published nothing. Your code raised `AttributeError.* it takes text or bytes",
        ),
        "a tuple as text": ([(BODY, "body=str((x, y))")], r"body `\(20, 22\)` and cannot read it"),
        "a sum": ([(BODY, 'body=f"{x}+{y}"')], r"body `20\+22` and cannot read it"),
        "done by itself": ([(BODY, "body=str(x + y)")], "body `42` and cannot read it"),
        "no reply_to": ([('reply_to="addition_callback", ', "")], "no `reply_to`, so nothing says where"),
        "no id": ([(", correlation_id=id", "")], "no `correlation_id`, so nothing says which"),
        "as headers": ([(PROPERTIES, HEADERS)], "`reply_to` is among the `headers`"),
        "to another queue": ([('reply_to="addition_callback"', 'reply_to="addition"')], "`reply_to` is `addition`"),
        "sent to the callback queue": (
            [('routing_key="addition"', 'routing_key="addition_callback"')], "with the key `addition_callback`",
        ),
    },
    "01-made-to-last": {
        "not durable": ([(", durable=True", "")], "`ledger` is not durable"),
        "transient": ([(MODE, "")], "restart, but empty: `8` was published without a `delivery_mode`"),
        "said to be transient": ([("Persistent", "Transient")], "restart, but empty: `8` .*with `delivery_mode` 1"),
        "not confirmed": ([(CONFIRM, "")], "your program does not know it"),
        "for one connection": ([("durable", "exclusive")], "deleted it when your program closed that connection"),
        "no queue": ([(LEDGER, "")], "has not declared a queue"),
        "a number": ([("str(total)", "total")], "published as text. Your code raised `AttributeError"),
        "emptied": (
            [(LEDGER, LEDGER + '    channel.queue_purge("ledger")\n')], "`ledger` should hold 2 totals, and it holds 1",
        ),
    },
}

ALSO_RIGHT = {
    "01-fix-the-sender": {
        "and mandatory": """
def send(channel, body):
    channel.confirm_delivery()
    channel.queue_declare(rpclab.ADDITION_QUEUE, durable=True)
    channel.basic_publish("", rpclab.ADDITION_QUEUE, body, mandatory=True)
""",
    },
    "01-know-it-arrived": {
        "by a callback": """
def arrived(channel, queue, body):
    returned = []
    channel.add_on_return_callback(lambda *arguments: returned.append(arguments))
    channel.basic_publish("", queue, body, mandatory=True)
    channel.connection.process_data_events(time_limit=0.2)
    return not returned
""",
    },
    "01-say-where-to": {
        "as bytes": """
def request_sum(channel, x, y, id):
    properties = pika.BasicProperties()
    properties.reply_to = "addition_callback"
    properties.correlation_id = id
    channel.basic_publish("", "addition", b"%d, %d" % (x, y), properties)
""",
    },
    "01-made-to-last": {
        "a quorum queue": """
def keep(channel, total):
    channel.confirm_delivery()
    channel.queue_declare("ledger", durable=True, arguments={"x-queue-type": "quorum"})
    channel.basic_publish("", "ledger", str(total))
""",
        "the mode as a number": """
def keep(channel, total):
    channel.queue_declare("ledger", durable=True)
    channel.confirm_delivery()
    channel.basic_publish("", "ledger", b"%d" % total, pika.BasicProperties(delivery_mode=2), mandatory=True)
""",
    },
}
