"""Lesson 05: wrong answers that people give, and their diagnoses."""

from __future__ import annotations

from answers import test_a_mistake_gets_its_own_diagnosis as test_a_mistake_gets_its_own_diagnosis
from answers import test_another_good_way_is_right_as_well as test_another_good_way_is_right_as_well

DECLARE = "        self.channel.queue_declare(rpclab.FIBONACCI_QUEUE, durable=True)\n"
SERVER_ACK = "        ch.basic_ack(delivery_tag=method.delivery_tag)\n"
BODY = "        response = self.fib(int(body))\n"
OWN_QUEUE = 'self.channel.queue_declare("", exclusive=True).method.queue'
TAKE = "        for method, properties, body in self.channel.consume(self.callback_queue, auto_ack=True):\n" \
       "            return int(body)\n"
BY_ID = "answers[id] for id in ids"
IDS = "[str(uuid.uuid4()) for _ in requests]"
COLLECT = """\
    for method, properties, body in channel.consume(callback_queue, auto_ack=True):
        if properties.correlation_id in ids:
            answers[properties.correlation_id] = int(body)
        if len(answers) == len(requests):
            channel.cancel()
            return [answers[id] for id in ids]
"""
WAIT_FOR_IT = """\
        for method, properties, body in channel.consume(callback_queue, auto_ack=True):
            if properties.correlation_id == id:
                answers[id] = int(body)
                break
    channel.cancel()
    return [answers[id] for id in ids]
"""

WRONG = {
    "05-fix-the-server": {
        "no queue": ([(DECLARE, "")], "no program has declared it.*queue_declare"),
        "a name that is not there": (
            [("=properties.", "=props.")],
            "third argument `properties` and then uses `props`.*back in the queue",
        ),
        "no correlation id": ([("properties=reply, ", "")], "`55`, without a correlation id"),
        "an id of its own": (
            [("correlation_id=properties.correlation_id", 'correlation_id="1"')], "id `1`, which no request had",
        ),
        "acknowledged first": (
            [(SERVER_ACK, ""), (BODY, SERVER_ACK + BODY)], "acknowledgement of `10` first and its reply afterwards",
        ),
        "never acknowledged": ([(SERVER_ACK, "")], "did not acknowledge: 1 unacked"),
        "a fixed callback queue": (
            [("routing_key=properties.reply_to", "routing_key=rpclab.FIBONACCI_CALLBACK_QUEUE")],
            "published its reply to `fibonacci_callback`",
        ),
        "wrong numbers": ([("n if n < 2", "1 if n < 2")], "is `89`, where `55` is right"),
        "never consumes": ([("        self.channel.start_consuming()\n", "")], "Your code returned `None`"),
    },
    "05-fix-the-client": {
        "never consumes": ([(TAKE, "")], "`add` returned `None`: your client never consumed from its callback queue"),
        "looks once, too early": (
            [(TAKE, "        return int(self.channel.basic_get(self.callback_queue, auto_ack=True)[2])\n")],
            "`basic_get`, which looks once, before the reply was there.*Your code raised `TypeError",
        ),
        "no callback queue": (
            [(OWN_QUEUE, "rpclab.ADDITION_CALLBACK_QUEUE")],
            "use queue `addition_callback`, and no program has declared it",
        ),
        "no reply_to": ([("reply_to=self.callback_queue", "")], "no `reply_to`"),
        "text instead of a number": (
            [("return int(body)", "return body")], r"returned `\[b'8', b'42'\]`.* as an integer",
        ),
        "waits without processing": (
            [(TAKE, "        self.channel.basic_consume(self.callback_queue, print, auto_ack=True)\n"
                    "        while True:\n            pass\n")],
            "did not return.*process_data_events",
        ),
        "sends no request": ([(TAKE, "        return x + y\n"), ("routing_key=", "routing_key='x' + ")], "no request"),
        "sends and does not listen": ([(TAKE, "        return x + y\n")], "took no reply"),
    },
    "05-whose-reply": {
        "no ids": (
            [("reply_to=callback_queue, correlation_id=id", "reply_to=callback_queue"),
             ("if properties.correlation_id in ids:", "if True:"),
             ("answers[properties.correlation_id]", "answers[len(answers)]"), (BY_ID, "*answers.values()")],
            "carry no correlation id",
        ),
        "one id for all": ([(IDS, '["same"] * len(requests)')], "the same correlation id, `same`"),
        "takes the unmatched reply": (
            [("if properties.correlation_id in ids:", "if True:"), (BY_ID, "*answers.values()")],
            "took `999` for an answer",
        ),
        "in the order of the replies": ([(BY_ID, "*answers.values()")], "should be integers, in the order"),
        "as text": ([("int(body)", "body.decode()")], r"should be integers.* not `\[\['8', '42', '2'\]"),
        "one after the other": (
            [("    answers = {}\n", ""), ("    ids =", "    answers = {}\n    ids ="),
             ("request, properties)\n", "request, properties)\n" + WAIT_FOR_IT), (COLLECT, "")],
            "a round trip for each request",
        ),
    },
}

ALSO_RIGHT = {
    "05-fix-the-server": {
        "with the base class": """
class FibonacciServer(rpclab.BaseServer):
    def __init__(self):
        super().__init__(rpclab.FIBONACCI_QUEUE)

    def fib(self, n):
        return n if n < 2 else self.fib(n - 1) + self.fib(n - 2)

    def on_request(self, ch, method, properties, body):
        ch.basic_publish("", properties.reply_to, str(self.fib(int(body))), pika.BasicProperties(
            correlation_id=properties.correlation_id))
        ch.basic_ack(method.delivery_tag)
""",
        "as a service": """
class FibonacciServer(rpclab.RpcServer):
    def __init__(self):
        super().__init__(rpclab.FIBONACCI_QUEUE)

    def handle(self, body):
        a, b = 0, 1
        for _ in range(int(body)):
            a, b = b, a + b
        return a
""",
    },
    "05-fix-the-client": {
        "as in the official tutorial, and with ids": """
class AddClient:
    def __init__(self):
        self.connection = pika.BlockingConnection(rpclab.connection_parameters())
        self.channel = self.connection.channel()
        self.queue = self.channel.queue_declare("", exclusive=True).method.queue
        self.channel.basic_consume(self.queue, self.on_response, auto_ack=True)
        self.replies = {}

    def on_response(self, ch, method, properties, body):
        self.replies[properties.correlation_id] = body

    def add(self, x, y):
        import uuid
        id = str(uuid.uuid4())
        properties = pika.BasicProperties(reply_to=self.queue, correlation_id=id)
        self.channel.basic_publish("", rpclab.ADDITION_QUEUE, f"{x},{y}", properties)
        while id not in self.replies:
            self.connection.process_data_events(time_limit=1)
        return int(self.replies.pop(id))
""",
        "with direct reply-to": """
class AddClient:
    def __init__(self):
        self.channel = pika.BlockingConnection(rpclab.connection_parameters()).channel()
        self.replies = self.channel.consume("amq.rabbitmq.reply-to", auto_ack=True, inactivity_timeout=0.01)
        next(self.replies)

    def add(self, x, y):
        properties = pika.BasicProperties(reply_to="amq.rabbitmq.reply-to")
        self.channel.basic_publish("", rpclab.ADDITION_QUEUE, f"{x},{y}", properties)
        return next(int(body) for method, properties, body in self.replies if method)
""",
        "with the named callback queue": """
class AddClient:
    def __init__(self):
        self.channel = pika.BlockingConnection(rpclab.connection_parameters()).channel()
        self.channel.queue_declare(rpclab.ADDITION_CALLBACK_QUEUE, durable=True)

    def add(self, x, y):
        properties = pika.BasicProperties(reply_to=rpclab.ADDITION_CALLBACK_QUEUE)
        self.channel.basic_publish("", rpclab.ADDITION_QUEUE, f"{x},{y}", properties)
        method, properties, body = next(self.channel.consume(rpclab.ADDITION_CALLBACK_QUEUE))
        self.channel.basic_ack(method.delivery_tag)
        return int(body)
""",
        "with the course's own": """
class AddClient(rpclab.AddClient):
    def add(self, x, y):
        return self.call(x, y)
""",
    },
    "05-whose-reply": {
        "numbered requests, a queue for each": """
def add_all(channel, requests):
    answers = []
    queues = [channel.queue_declare("", exclusive=True).method.queue for _ in requests]
    for number, (queue, request) in enumerate(zip(queues, requests)):
        properties = pika.BasicProperties(reply_to=queue, correlation_id=str(number))
        channel.basic_publish("", rpclab.ADDITION_QUEUE, request, properties)
    for number, queue in enumerate(queues):
        for method, properties, body in channel.consume(queue, auto_ack=True):
            if properties.correlation_id == str(number):
                answers.append(int(body))
                break
        channel.cancel()
    return answers
""",
    },
}
