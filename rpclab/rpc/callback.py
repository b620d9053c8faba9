"""Callback workers: processes that take answers from a callback queue that many clients share."""

from __future__ import annotations

from rpclab.rpc.server import BaseServer, whoami


class CallbackWorker(BaseServer):
    """Takes what servers sent to a named callback queue, as in the case study: prints it and acknowledges it.

    Parameters
    ----------
    queue_name : str
        The callback queue that requests name in ``reply_to``.
    """

    def on_request(self, ch, method, props, body) -> None:
        """Print one answer and acknowledge it."""
        item = body.decode(errors="backslashreplace")
        print(f" [x] {self.queue_name} worker with (Process: {whoami()}) received item '{item}'", flush=True)
        ch.basic_ack(delivery_tag=method.delivery_tag)
