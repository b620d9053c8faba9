"""What the kernel says goes to the browser at once: the server of `make lab` does not let TCP hold messages back."""

from __future__ import annotations

import asyncio
import socket

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from jupyter_server.services.kernels.websocket import KernelWebsocketHandler
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application
from tornado.websocket import WebSocketHandler, websocket_connect
from waiting import awaited

from rpclab.jupyter import _command
from rpclab.jupyter_websocket import PromptConnection


def test_make_lab_names_the_connection(tmp_path):
    name = f"{PromptConnection.__module__}.{PromptConnection.__qualname__}"
    assert f"--ServerApp.kernel_websocket_connection_class={name}" in _command(tmp_path, [])


def test_a_message_is_not_held_back():
    assert awaited(_sends_at_once())


async def _sends_at_once() -> bool:
    """Return whether TCP_NODELAY is set on the server's end of a kernel's websocket."""
    manager = AsyncMappingKernelManager()
    kernel = await manager.start_kernel()
    flags: asyncio.Queue[bool] = asyncio.Queue()

    class Handler(KernelWebsocketHandler):
        """The server's own, for everybody: who may ask is not what is tested."""

        async def prepare(self):
            self.connection = PromptConnection(parent=manager.get_kernel(kernel), websocket_handler=self)
            await self.connection.prepare()

        async def get(self):
            await WebSocketHandler.get(self)

        async def open(self):
            await self.connection.connect()
            own = self.ws_connection.stream.socket
            flags.put_nowait(bool(own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))

    listening, port = bind_unused_port()
    server = HTTPServer(Application([("/channels", Handler)]))
    server.add_sockets([listening])
    client = await websocket_connect(f"ws://127.0.0.1:{port}/channels")
    try:
        return await asyncio.wait_for(flags.get(), 60)
    finally:
        client.close()
        server.stop()
        await manager.shutdown_kernel(kernel)
