"""An asyncio event loop in a thread, and how other threads have something done there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from rpclab.errors import LabError

MOST_SECONDS = 30.0

T = TypeVar("T")


class LoopThread:
    """A running event loop; end it with `stop`.

    Parameters
    ----------
    name : str
        The thread's name.

    Attributes
    ----------
    loop : asyncio.AbstractEventLoop
        The loop, for what already runs in the thread.
    """

    def __init__(self, name: str):
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Whether the loop runs."""
        return self._thread.is_alive()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine returns that runs in the loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def call(self, action: Callable[[], T]) -> T:
        """Return what a function returns that runs in the thread; it may be called there, too.

        Raises
        ------
        LabError
            If the thread does not come to it within half a minute.
        """
        if threading.current_thread() is self._thread:
            return action()
        done: Future[T] = Future()

        def act() -> None:
            try:
                done.set_result(action())
            except BaseException as error:  # noqa: BLE001  it is raised where it was asked for
                done.set_exception(error)

        self.loop.call_soon_threadsafe(act)
        wait([done], MOST_SECONDS)
        if not done.done():
            raise LabError(
                f"{self._thread.name} has been busy for {MOST_SECONDS:g} s, and all connections stand still. "
                "A function that `tap.subscribe` or `story.listen` calls must return quickly, and must not use the lab."
            )
        return done.result()

    def stop(self) -> None:
        """End the loop and its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()
