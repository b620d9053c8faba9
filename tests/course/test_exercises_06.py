"""Lesson 06: wrong answers that people give, and their diagnoses."""

from __future__ import annotations

from answers import test_a_mistake_gets_its_own_diagnosis as test_a_mistake_gets_its_own_diagnosis
from answers import test_another_good_way_is_right_as_well as test_another_good_way_is_right_as_well

LOOP = "        while self.response is None:\n"
PROCESS = "    self.channel.connection.process_data_events(time_limit=None)\n"
ONLY_MINE = "if properties.correlation_id == self.correlation_id:"
CONSUME = "        self.channel.basic_consume(self.callback_queue, self.on_response, auto_ack=True)\n"
PUBLISH = '        self.channel.basic_publish("", rpclab.ADDITION_QUEUE, f"{x},{y}", properties)\n'
AS_LONG = "while len(answers) < len(requests) and (left := deadline - time.monotonic()) > 0:\n"
FOREVER = "while len(answers) < len(requests):\n"
RETURN = "    return [answers.get(id) for id in ids]\n"
ACK = "        ch.basic_ack(method.delivery_tag)\n"
ERROR_REPLY = '            ch.basic_publish("", properties.reply_to, text, reply)\n'
OWN_QUEUE = 'self.channel.queue_declare("", exclusive=True).method.queue\n'
SHARED = "rpclab.ADDITION_CALLBACK_QUEUE\n"
DURABLE = "        self.channel.queue_declare(self.callback_queue, durable=True)\n"

WRONG = {
    "06-unmatched-first": {
        "once, and for longer": (
            [(LOOP + "        " + PROCESS, "    " + PROCESS.replace("None", "5"))],
            "got an unmatched reply and stopped waiting, before its own reply came",
        ),
        "takes what comes": ([(ONLY_MINE, "if True:")], "took `999` for an answer.*`no request of yours`"),
        "waits without processing": (
            [(PROCESS, "    pass\n")], "reply `8` was delivered to your client, and `add` did not return",
        ),
        "never consumes": ([(CONSUME, "")], "never consumed from its callback queue: nothing was delivered"),
        "sends no request": ([(PUBLISH, "        return x + y\n")], "No request `3,5` has reached"),
        "sends requests and takes no reply": ([(LOOP, "        return x + y\n" + LOOP)], "took no reply"),
        "no reply_to": ([("reply_to=self.callback_queue, ", "")], "no `reply_to`"),
    },
    "06-one-deadline": {
        "no end": ([(AS_LONG, FOREVER), ("limit=left", "limit=1")], "`add_all` did not return"),
        "only once": ([(AS_LONG, "if left := timeout:\n")], "`.None, None, None.` before its 1.5 s were over"),
        "the whole time in each turn": (
            [("limit=left", "limit=timeout")],
            "returned too late. Unmatched replies came, and each of them gave it the whole time",
        ),
        "raises": (
            [(RETURN, "    if len(answers) < len(ids):\n        raise TimeoutError('too late')\n" + RETURN)],
            "does not reply to `1,1`. Your code raised `TimeoutError: too late`.*`None` in the place",
        ),
        "sleeps": (
            [(AS_LONG, "if True:\n"), ("process_data_events(time_limit=left)", "sleep(timeout)")],
            "second round all replies came at once, and `add_all` waited on",
        ),
        "takes unmatched replies": (
            [("if properties.correlation_id in ids:", "if True:"), (RETURN, "    return list(answers.values())\n")],
            r"returned `\[999",
        ),
    },
    "06-error-is-a-reply": {
        "still silent": ([(ERROR_REPLY, "")], "acknowledged `3,five` and published no reply"),
        "raised again": ([(ERROR_REPLY, "            raise\n")], "`3,five` ended the server.*raised `ValueError"),
        "another try": (
            [(ERROR_REPLY, "            return ch.basic_nack(method.delivery_tag, requeue=True)\n")], "`3,five` loops",
        ),
        "no correlation id": (
            [('correlation_id=properties.correlation_id, type="error"', 'type="error"')],
            "without a correlation id.*dropped it. Its call timed out",
        ),
        "no type": ([(', type="error"', "")], "nothing marks it as an error"),
        "no JSON": ([("text, reply", "str(error), reply")], "error reply to `3,five` is `invalid literal.*cannot read"),
        "not acknowledged": (
            [(ACK, ""), (ERROR_REPLY, ERROR_REPLY + "        else:\n    " + ACK)],
            "replied to `3,five` and did not acknowledge it: 1 unacked",
        ),
        "all of them errors": ([('split(",")', 'split(";")')], "`3,5` does not: its client got no sum"),
        "wrong sums": ([("str(x + y)", "str(x * y)")], "reply to `3,5` is `15`, where `8` is right"),
        "acknowledged twice": ([(ERROR_REPLY, ERROR_REPLY + "    " + ACK)], "same delivery twice"),
    },
    "06-stolen-replies": {
        "less patient": (
            [(OWN_QUEUE, SHARED + DURABLE), ("timeout=1", "timeout=0.4")],
            r"[12] of 3 replies for `AddClient` went to `OtherClient`.*consume from `addition_callback`",
        ),
        "exclusive, by name": (
            [(OWN_QUEUE, SHARED + DURABLE.replace("durable", "exclusive"))],
            r"refused it to the second \(`405 RESOURCE_LOCKED`\)",
        ),
        "left behind": (
            [(OWN_QUEUE, 'f"callback-{uuid.uuid4()}"\n' + DURABLE)], "the broker still has 2 callback queues",
        ),
        "sends requests and takes no reply": (
            [(CONSUME, ""), ("        while id", "        return x + y\n        while id")],
            "took no reply",
        ),
    },
}

ALSO_RIGHT = {
    "06-unmatched-first": {
        "with consume": """
class AddClient:
    def __init__(self):
        self.channel = pika.BlockingConnection(rpclab.connection_parameters()).channel()
        self.queue = self.channel.queue_declare("", exclusive=True).method.queue

    def add(self, x, y):
        import uuid
        id = str(uuid.uuid4())
        properties = pika.BasicProperties(reply_to=self.queue, correlation_id=id)
        self.channel.basic_publish("", rpclab.ADDITION_QUEUE, f"{x},{y}", properties)
        for method, properties, body in self.channel.consume(self.queue, auto_ack=True):
            if properties.correlation_id == id:
                return int(body)
""",
    },
    "06-one-deadline": {
        "with an inactivity timeout": """
def add_all(channel, requests, timeout):
    import time, uuid
    deadline = time.monotonic() + timeout
    queue = channel.queue_declare("", exclusive=True).method.queue
    asked = {str(uuid.uuid4()): request for request in requests}
    for id, request in asked.items():
        properties = pika.BasicProperties(reply_to=queue, correlation_id=id)
        channel.basic_publish("", rpclab.ADDITION_QUEUE, request, properties)
    answers = dict.fromkeys(asked)
    for method, properties, body in channel.consume(queue, auto_ack=True, inactivity_timeout=0.05):
        if method and properties.correlation_id in answers:
            answers[properties.correlation_id] = int(body)
        if None not in answers.values() or time.monotonic() > deadline:
            channel.cancel()
            return list(answers.values())
""",
        "with the course's own": """
def add_all(channel, requests, timeout):
    with rpclab.RpcClient(rpclab.ADDITION_QUEUE, timeout=timeout) as client:
        futures = [client.submit(request) for request in requests]
        return [None if future.exception() else int(future.result()) for future in futures]
""",
    },
    "06-error-is-a-reply": {
        "as a service": """
class AdditionServer(rpclab.RpcServer):
    def __init__(self):
        super().__init__(rpclab.ADDITION_QUEUE)

    def handle(self, body):
        x, y = map(int, body.split(","))
        return x + y
""",
    },
    "06-stolen-replies": {
        "direct reply-to": """
class AddClient(rpclab.AddClient):
    def __init__(self):
        super().__init__(reply="direct")
""",
        "a name of its own, deleted with its consumer": """
class AddClient:
    def __init__(self):
        import uuid
        self.channel = pika.BlockingConnection(rpclab.connection_parameters()).channel()
        self.queue = self.channel.queue_declare(f"answers-{uuid.uuid4()}", durable=True, auto_delete=True).method.queue
        self.channel.basic_consume(self.queue, self.on_response, auto_ack=True)

    def on_response(self, ch, method, properties, body):
        self.answer = int(body)

    def add(self, x, y):
        self.answer = None
        properties = pika.BasicProperties(reply_to=self.queue, correlation_id=f"{x},{y}")
        self.channel.basic_publish("", rpclab.ADDITION_QUEUE, f"{x},{y}", properties)
        while self.answer is None:
            self.channel.connection.process_data_events(time_limit=1)
        return self.answer
""",
    },
}
