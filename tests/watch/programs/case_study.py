"""The case study's own server, callback worker and client, with another address: each is asked for by its name."""

from __future__ import annotations

import os
import sys

import pika


class BaseServer:
    """What the case study calls a server."""

    def __init__(self, queue_name):
        self.queue_name = queue_name
        self.connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
        self.channel = self.connection.channel()

    def start(self):
        self.channel.basic_consume(queue=self.queue_name, on_message_callback=self.on_request)
        print("started", flush=True)
        self.channel.start_consuming()


class AdditionServer(BaseServer):
    """Adds two integers."""

    def on_request(self, ch, method, props, body):
        x, y = body.decode().split(",")
        ch.basic_publish(exchange="", routing_key=props.reply_to, body=str(int(x) + int(y)))
        ch.basic_ack(delivery_tag=method.delivery_tag)


class AddClient:
    """Asks, and does not wait."""

    def __init__(self):
        self.connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
        self.channel = self.connection.channel()

    def add(self, x, y):
        self.channel.basic_publish(
            exchange="", routing_key="addition", properties=pika.BasicProperties(reply_to="addition_callback"),
            body=f"{x},{y}",
        )


if sys.argv[1] == "server":
    AdditionServer("addition").start()
else:
    client = AddClient()
    client.add(3, 5)
    # The broker may drop what it has received if a connection ends without being closed.
    client.connection.close()
