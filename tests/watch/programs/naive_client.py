"""A client as a first draft has it: takes the first message that comes, and waits for ever if none does."""

from __future__ import annotations

import os
import sys

import pika

connection = pika.BlockingConnection(pika.URLParameters(os.environ["AMQP_URL"]))
channel = connection.channel()
callback_queue = channel.queue_declare("", exclusive=True).method.queue
replies = []
channel.basic_consume(callback_queue, lambda ch, m, props, body: replies.append(body), auto_ack=True)
for _ in range(2):
    channel.basic_publish("", "sums", "3,5", pika.BasicProperties(reply_to=callback_queue, correlation_id="1"))
    while not replies:
        connection.process_data_events(time_limit=1)
    print("reply:", int(replies.pop(0)), flush=True)
connection.close()
sys.exit(0)
