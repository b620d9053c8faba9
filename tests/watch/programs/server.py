"""A good server in pika's own words: adds two integers."""

from __future__ import annotations

import os
import sys

import pika

parameters = pika.URLParameters(os.environ["AMQP_URL"])
parameters.client_properties = {"connection_name": "server"}
channel = pika.BlockingConnection(parameters).channel()
channel.queue_declare("sums", durable=True)
channel.basic_qos(prefetch_count=1)


def on_request(ch, method, props, body):
    try:
        reply = str(sum(int(part) for part in body.decode().split(",")))
    except ValueError:
        reply = "error: send integers"
    if props.reply_to:
        ch.basic_publish("", props.reply_to, reply, pika.BasicProperties(correlation_id=props.correlation_id))
    ch.basic_ack(method.delivery_tag)


channel.basic_consume("sums", on_request)
print("serving", flush=True)
try:
    channel.start_consuming()
except KeyboardInterrupt:
    sys.exit(0)
