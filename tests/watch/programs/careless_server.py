"""A server with the mistakes that its arguments name: dies, early, never, auto, mute, twice."""

from __future__ import annotations

import os
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
channel.queue_declare("sums", durable=True)
AUTO = "auto" in sys.argv


def on_request(ch, method, props, body):
    if "early" in sys.argv:
        ch.basic_ack(method.delivery_tag)
    if "dies" in sys.argv and not props.reply_to:
        raise SystemExit(1)
    try:
        reply = str(sum(int(part) for part in body.decode().split(",")))
    except ValueError:
        reply = "error"
    for _ in range(2 if "twice" in sys.argv else 1):
        if props.reply_to and "mute" not in sys.argv:
            ch.basic_publish("", props.reply_to, reply, pika.BasicProperties(correlation_id=props.correlation_id))
    if not AUTO and "early" not in sys.argv and "never" not in sys.argv:
        ch.basic_ack(method.delivery_tag)


channel.basic_consume("sums", on_request, auto_ack=AUTO)
print("serving", flush=True)
channel.start_consuming()
