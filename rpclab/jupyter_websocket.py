"""The notebook server's end of a kernel's websocket, as ``rpclab lab`` uses it."""

from __future__ import annotations

from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection


class PromptConnection(ZMQChannelsWebsocketConnection):
    """Sends what a kernel says to the browser at once.

    Otherwise TCP holds back a small message while the last one is not acknowledged (Nagle's algorithm), and the browser
    delays the acknowledgement by 40 ms. Each answer that a widget shows would come that much later. See
    ``tornado.websocket.WebSocketHandler.set_nodelay``.
    """

    def connect(self) -> Any:  # a future or None, where its base class promises a coroutine
        """Connect the websocket with the kernel."""
        self.websocket_handler.set_nodelay(True)
        return super().connect()
