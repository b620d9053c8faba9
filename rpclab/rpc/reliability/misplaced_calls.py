"""Recognizes calls that would wait forever: in the thread that reads their replies, or in a fork of its process."""

from __future__ import annotations

import os
import threading
import weakref

from rpclab.errors import MisplacedCall


class MisplacedCalls:
    """Where calls of one client cannot be made.

    Parameters
    ----------
    client : str
        What messages call the client.
    """

    def __init__(self, client: str):
        self._client = client
        self._pid = os.getpid()
        self._threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()

    @property
    def forked(self) -> bool:
        """Whether this process is a fork of the client's, and so does not have its threads."""
        return os.getpid() != self._pid

    def add_thread(self, thread: threading.Thread) -> None:
        """Record a thread that reads replies."""
        self._threads.add(thread)

    def check_process(self) -> None:
        """Raise `MisplacedCall` in a fork of the client's process."""
        if self.forked:
            raise MisplacedCall(
                f"This {self._client} was made in process {self._pid}, and process {os.getpid()} is a fork of it. A "
                "connection belongs to one process: make a client in each."
            )

    def check_thread(self) -> None:
        """Raise `MisplacedCall` also in a thread that reads replies: by waiting for one, it would wait for itself."""
        self.check_process()
        if threading.current_thread() in self._threads:
            raise MisplacedCall(
                f"This thread reads the replies of this {self._client}, and would wait for itself: you are in a "
                "callback. Use submit and add_done_callback there, or make the call in another thread."
            )
