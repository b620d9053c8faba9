"""The notebook server's end of a kernel's websocket, as ``make lab`` uses it."""

from __future__ import annotations

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection


class PromptConnection(ZMQChannelsWebsocketConnection):
    """Sends what a kernel says to the browser at once.

    Otherwise TCP holds a small message back while the one before it is not acknowledged (Nagle's algorithm), and the
    browser's side puts the acknowledgement off for 40 ms, hoping to send something along with it: each answer that a
    widget shows would come so much later. See ``tornado.websocket.WebSocketHandler.set_nodelay``.
    """

    def connect(self):
        """Connect the websocket with the kernel."""
        self.websocket_handler.set_nodelay(True)
        return super().connect()
