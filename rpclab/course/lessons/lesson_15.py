"""The hidden faults."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic

from rpclab.course.drill import SETTLE_SECONDS, Drill, Fault
from rpclab.errors import Blocked, LabError
from rpclab.operate.broken_servers import BrokenServer, ConfusedServer, reply
from rpclab.rpc.arithmetic import AdditionServer
from rpclab.rpc.protocol import ADDITION_CALLBACK_QUEUE, ADDITION_QUEUE
from rpclab.rpc.rpc_server import RpcServer

WORK_SECONDS = 0.6
POLL_SECONDS = 0.02
# Slower each time, so that a drill which is looked at for long stays small.
FIRST_LOOP_SECONDS, LONGEST_LOOP_SECONDS = 0.1, 3.0
TOO_LITTLE_MEMORY = "0.00001"
UNREADABLE = "three,five"


class RequeuingServer(BrokenServer):
    """Requeues a request that it cannot read."""

    pause = FIRST_LOOP_SECONDS

    def on_request(
        self, ch: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        """Answer, or requeue."""
        try:
            super().on_request(ch, method, properties, body)
        except ValueError:
            time.sleep(self.pause)
            self.pause = min(2 * self.pause, LONGEST_LOOP_SECONDS)
            ch.basic_nack(method.delivery_tag, requeue=True)

    def answer(self, ch: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, result: str) -> None:
        """Reply and acknowledge."""
        reply(ch, properties.reply_to, properties.correlation_id, result)
        ch.basic_ack(method.delivery_tag)


class ForgetsEvenServer(BrokenServer):
    """Forgets to acknowledge a request when its result is even."""

    def answer(self, ch: BlockingChannel, method: Basic.Deliver, properties: pika.BasicProperties, result: str) -> None:
        """Reply, and acknowledge or not."""
        reply(ch, properties.reply_to, properties.correlation_id, result)
        if int(result) % 2:
            ch.basic_ack(method.delivery_tag)


class SlowServer(AdditionServer):
    """Takes its time."""

    def handle(self, body: str) -> int:
        """Return the sum, later."""
        time.sleep(WORK_SECONDS)
        return super().handle(body)


class MisplacedServer(AdditionServer):
    """Consumes from a queue that no client publishes to."""

    def __init__(self, **options: Any):
        RpcServer.__init__(self, "additions", **options)


def _answered(drill: Drill) -> None:
    drill.fire((1, 2), (3, 4), (5, 6), (7, 8))
    drill.lab.wait_for(ADDITION_QUEUE, ready=0, unacked=0)
    drill.lab.wait_for(ADDITION_CALLBACK_QUEUE, ready=0, unacked=0)


def _looping(drill: Drill) -> None:
    drill.send_unreadable(UNREADABLE)
    drill.fire((1, 2), (3, 4))
    story = drill.lab.story
    story.wait_for(lambda: any(len(m.deliveries) > 2 for m in story.messages), SETTLE_SECONDS, "the loop")


def _held(drill: Drill) -> None:
    drill.fire((2, 2), (3, 3))
    drill.lab.wait_for(ADDITION_QUEUE, ready=0, unacked=2)
    drill.fire((1, 2), (3, 4))
    drill.lab.wait_for(ADDITION_QUEUE, ready=2, unacked=2)


def _late(drill: Drill) -> None:
    for call in ((1, 2), (3, 4)):
        drill.client.submit(*call)
    given_up = time.monotonic() + SETTLE_SECONDS
    while drill.client.stats.late < 2:
        if time.monotonic() > given_up:
            raise LabError("The late replies of this drill did not arrive. Start it again.")
        time.sleep(POLL_SECONDS)


def _blocked(drill: Drill) -> None:
    drill.lab.ctl("set_vm_memory_high_watermark", TOO_LITTLE_MEMORY)
    error = drill.client.submit(1, 2).exception(SETTLE_SECONDS)
    assert isinstance(error, Blocked), error


def _waiting(drill: Drill) -> None:
    drill.fire((1, 2), (3, 4), (5, 6))
    drill.lab.wait_for(ADDITION_QUEUE, ready=3, unacked=0)


# Each by its drill's name; lesson_15.md says what users complain about, and what to say of the fault.
example = partial(Fault, cause=_answered, server=ConfusedServer, example=True)
drill_a = partial(Fault, cause=_waiting, server=MisplacedServer)
drill_b = partial(Fault, cause=_answered, client={"reply": ADDITION_CALLBACK_QUEUE})
drill_c = partial(
    Fault, cause=_held, server=ForgetsEvenServer, servers=2, calls=((2, 2), (3, 5), (1, 2), (4, 4), (20, 22), (6, 7)),
)
drill_d = partial(Fault, cause=_looping, server=RequeuingServer, unreadable=UNREADABLE)
drill_e = partial(Fault, cause=_late, server=SlowServer, servers=2, client={"timeout": 0.2}, calls=((3, 5), (20, 22)))
drill_f = partial(Fault, cause=_blocked, own_node=True)
