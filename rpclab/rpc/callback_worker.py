"""Callback workers: processes that consume replies from a callback queue that many clients share."""

from __future__ import annotations

from typing import Any

import pika

from rpclab.rpc.server import BaseServer, whoami


class CallbackWorker(BaseServer):
    """Consumes from a named callback queue, as in the case study: prints each reply and acknowledges it.

    Parameters
    ----------
    queue_name : str
        The callback queue that requests name in ``reply_to``.
    """

    def on_request(
        self, ch: Any, method: pika.spec.Basic.Deliver, properties: pika.BasicProperties, body: bytes
    ) -> None:
        """Print one reply and acknowledge it."""
        item = body.decode(errors="backslashreplace")
        print(f" [x] {self.queue_name} worker with (Process: {whoami()}) received item '{item}'", flush=True)
        ch.basic_ack(delivery_tag=method.delivery_tag)
