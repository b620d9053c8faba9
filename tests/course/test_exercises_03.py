"""Lesson 03: wrong answers that people give, and their diagnoses."""

from __future__ import annotations

from answers import test_a_mistake_gets_its_own_diagnosis as test_a_mistake_gets_its_own_diagnosis
from answers import test_another_good_way_is_right_as_well as test_another_good_way_is_right_as_well

GET = '        method, properties, body = channel.basic_get("addition", auto_ack=True)\n'
COLLECT = "        bodies.append(body)\n"
LOOP = "    while len(bodies) < count:\n        connection.process_data_events(time_limit=1)\n"
ACK = "        ch.basic_ack(delivery_tag=method.delivery_tag)\n"
WORK = "        work(body)\n"
LIMIT = "    channel.basic_qos(prefetch_count=1)\n"
CONSUME = '    channel.basic_consume("addition", on_request)\n'
GET_ALL = '''\
    while channel.queue_declare("addition", passive=True).method.message_count:
        got = [channel.basic_get("addition") for _ in range(6)]
        for method, properties, body in got:
            on_request(channel, method, properties, body)
'''
POLL = '''\
    channel = connection.channel()
    while len(bodies) < count:
        method, properties, body = channel.basic_get("addition", auto_ack=True)
        if method:
            bodies.append(body)
    return bodies
'''

WRONG = {
    "03-empty-the-queue": {
        "counts": (
            [("while method", "while body and method")], "and one whose body is empty.* 1 is left behind it",
        ),
        "not acknowledged": ([(", auto_ack=True", "")], "acknowledged none of them.* then requeued: 3 ready in"),
        "the last one is none": (
            [("    while method:\n" + COLLECT + GET, f"    while method:\n{COLLECT}{GET}    bodies.append(body)\n")],
            r"All three messages were taken.* `\[b'1,2', b'', b'3,5', None\]`",
        ),
        "the first is forgotten": ([(COLLECT + GET, GET + COLLECT)], r"`\[b'', b'3,5', None\]`"),
        "only one": ([("while method", "if method"), (GET, "")], "Taken: 1 of three messages. Left in the queue: 2"),
        "forever": ([("while method", "while True")], "did not return.* your loop does not end"),
        "purged": (
            [("    bodies = []\n", '    bodies = []\n    channel.queue_purge("addition")\n')],
            "took none of the three .*that is not taking them",
        ),
        "as text": ([("append(body)", "append(body.decode())")], r"returned `\['1,2', '', '3,5'\]`.* should have been"),
    },
    "03-wait-for-all": {
        "twice": (
            [(LOOP, LOOP[LOOP.index("        con"):].replace("        con", "    con") * 2)],
            "`take` returned before 3 requests were taken. `process_data_events` returns after",
        ),
        "once for each": (
            [("while len(bodies) < count", "for _ in range(count)")], "returned before 3 requests were taken",
        ),
        "nothing": ([(LOOP, "")], "`take` returned with nothing taken"),
        "without pika": (
            [("        connection.process_data_events(time_limit=1)\n", "        pass\n")],
            "`1,2` was delivered to your connection and is unacked: your callback was not called",
        ),
        "too long": ([(LOOP, "    connection.sleep(4)\n")], "took a fourth as well, `7,7`"),
        "as long as there is a consumer": ([(LOOP, "    channel.start_consuming()\n")], "3 requests. Your code took"),
        "one too many": ([("< count", "<= count")], "a fourth as well"),
        "polls": (
            [("    channel = connection.channel()\n", POLL)], "polls the empty queue.*keep `basic_consume`",
        ),
    },
    "03-fair-share": {
        "no limit": (
            [(LIMIT, ""), ("on_request)\n", "on_request, consumer_tag='one')\n")],
            "holds 6 of 6, unacked. 0 were left .* Nothing limits how many",
        ),
        "a larger limit": ([("count=1", "count=3")], "holds 3 of 6.* The limit that you have set is 3"),
        "no limit by number": ([("count=1", "count=0")], "holds 6 of 6.* Nothing limits"),
        "too late": ([(LIMIT, ""), (CONSUME, CONSUME + LIMIT)], "holds 6 of 6.* after `basic_consume`"),
        "too late for the whole channel": (
            [(LIMIT, ""), (CONSUME, CONSUME + LIMIT.replace("=1", "=1, global_qos=True"))],
            "holds 6 of 6, unacked.* a limit after `basic_consume`",
        ),
        "a larger limit afterwards": ([(LIMIT, LIMIT + LIMIT.replace("1", "4"))], "The limit that you have set is 4"),
        "no limit on the other channel": (
            [(LIMIT, LIMIT + CONSUME.replace("channel.", "channel.connection.channel()."))],
            "holds 6 of 6.* on another channel than the one that consumes",
        ),
        "gets what is ready": ([(CONSUME, GET_ALL)], "holds 6 of 6.* `basic_get`, to which no limit applies"),
        "another channel": ([("channel.basic_qos", "channel.connection.channel().basic_qos")], "on another channel"),
        "auto_ack": ([("on_request)\n", "on_request, auto_ack=True)\n"), (ACK, "")], "no limit applies, and all 6"),
        "acknowledged first": ([(WORK + ACK, ACK + WORK)], "acknowledged its first request before the work"),
        "no work": ([(WORK, "")], "before the work, or without it"),
        "never acknowledged": ([(ACK, "")], "done 0 of the other 5. It holds 1, unacked"),
        "never consumes": ([("    channel.start_consuming()\n", "")], "Your code returned `None`"),
    },
}

ALSO_RIGHT = {
    "03-empty-the-queue": {
        "acknowledged one by one": """
def take_all(channel):
    bodies = []
    while True:
        method, properties, body = channel.basic_get("addition")
        if method is None:
            return bodies
        bodies.append(body)
        channel.basic_ack(method.delivery_tag)
""",
        "as many as there are": """
def take_all(channel):
    count = channel.queue_declare("addition", passive=True).method.message_count
    return [channel.basic_get("addition", auto_ack=True)[2] for _ in range(count)]
""",
    },
    "03-wait-for-all": {
        "stopped from within": """
def take(connection, count):
    bodies = []
    channel = connection.channel()

    def on_request(ch, method, properties, body):
        bodies.append(body)
        ch.basic_ack(method.delivery_tag)
        if len(bodies) == count:
            ch.stop_consuming()

    channel.basic_qos(prefetch_count=1)
    channel.basic_consume("addition", on_request)
    channel.start_consuming()
    return bodies
""",
        "pika's own loop": """
def take(connection, count):
    bodies = []
    channel = connection.channel()
    for method, properties, body in channel.consume("addition"):
        bodies.append(body)
        channel.basic_ack(method.delivery_tag)
        if len(bodies) == count:
            channel.cancel()
            return bodies
""",
    },
    "03-fair-share": {
        "for the whole channel": """
def serve(channel, work):
    channel.basic_qos(0, 1)
    for method, properties, body in channel.consume("addition"):
        work(body)
        channel.basic_ack(method.delivery_tag)
""",
    },
}
