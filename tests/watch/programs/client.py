"""A good client in pika's own words: sends each argument as a request, prints the replies, and exits with 3."""

from __future__ import annotations

import os
import sys
import uuid

import pika

parameters = pika.URLParameters(os.environ[os.environ.get("VARIABLE", "AMQP_URL")])
parameters.client_properties = {"connection_name": "client"}
connection = pika.BlockingConnection(parameters)
channel = connection.channel()
callback_queue = channel.queue_declare("", exclusive=True).method.queue
replies = {}
channel.basic_consume(callback_queue, lambda ch, m, props, body: replies.update({props.correlation_id: body}), True)
for request in sys.argv[1:]:
    correlation_id = str(uuid.uuid4())
    properties = pika.BasicProperties(reply_to=callback_queue, correlation_id=correlation_id)
    channel.basic_publish("", "sums", os.fsencode(request), properties)
    while correlation_id not in replies:
        connection.process_data_events(time_limit=1)
    print("reply:", replies[correlation_id].decode(), flush=True)
connection.close()
sys.exit(3)
