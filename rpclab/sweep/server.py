"""The service that the sweep calls: each time that it does its work, it writes a line into a book."""

from __future__ import annotations

import os

from rpclab.broker import tls
from rpclab.broker.environment import named
from rpclab.rpc.rpc_server import RpcServer
from rpclab.sweep.cases import Setup

QUEUE = "sweep"
MEMORY_STREAM = f"{QUEUE}.answered"
# How long pika waits for the other end while a connection opens.
OPEN_SECONDS = 1


class BookingServer(RpcServer):
    """Writes each request into a book, which survives its process, and replies.

    Parameters
    ----------
    url : str
        Where to connect.
    book : str
        The path of the book.
    setup : Setup
        The server's options.
    """

    def __init__(self, url: str, book: str, setup: Setup):
        parameters = named(tls.parameters(url))
        parameters.stack_timeout = parameters.socket_timeout = OPEN_SECONDS
        self._book = book
        super().__init__(QUEUE, queue_type=setup.queue_type, remember=setup.remember, parameters=parameters)

    def handle(self, body: str) -> str:
        """Do the work: write one line in one go."""
        write_line(self._book, body)
        return answer(body)


def write_line(book: str, line: str) -> None:
    """Add a line to a file that other processes also write to."""
    file = os.open(book, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(file, f"{line}\n".encode())
    finally:
        os.close(file)


def answer(body: str) -> str:
    """Return the answer that belongs to a request."""
    return f"booked {body}"
