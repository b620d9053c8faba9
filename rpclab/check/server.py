"""What a server should do, tried out from outside: with requests of all kinds, and with signals to its process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rpclab.check import acknowledging, ending
from rpclab.check.asker import QUIET_SECONDS, Reply
from rpclab.check.lines import NOT_TRIED, quoted
from rpclab.check.served import STARTING_SECONDS, Served
from rpclab.errors import LabError
from rpclab.story.story import Story
from rpclab.watch.target import Target

MANY = 100
# What one request takes at least, in a guess at the time that many take; the first reply may have come sooner.
LEAST_SECONDS = 0.1

SERVED = "has a consumer"
REPLIES = "replies to the queue that reply_to names"
EXPECTED = "gives the expected reply"
COPIES = "copies the correlation id"
# With the body, where it is not that of a good request, and the properties.
ODD: dict[str, tuple[bytes | None, dict[str, Any]]] = {
    "survives a header it does not know": (None, {"headers": {"x-rpclab-check": {"nested": ["anything", 1, None]}}}),
    "survives a request without a correlation id": (None, {"correlation_id": None}),
    "survives a request without reply_to": (None, {"reply_to": None}),
    "survives an empty body": (b"", {}),
    "survives a body it cannot read": (b"\xff\xfe\x00 no request", {}),
}
AT_ONCE = f"answers {MANY} requests at once, each to its id"
ALL = (
    SERVED, REPLIES, EXPECTED, COPIES, acknowledging.ACKNOWLEDGES, acknowledging.AFTER, AT_ONCE, *ODD, ending.KILLED,
    ending.TERMINATED,
)


class ServerCheck:
    """Tries what a server does at a queue.

    Parameters
    ----------
    target : Target
        The broker.
    server : Served
        The server.
    expect : bytes or None
        Its reply to a good request, if that is checked.
    pids : sequence of int
        Processes of the server that may be ended: the first by SIGKILL, the second by SIGTERM.
    story : Story, optional
        What is seen of its connection, if check starts it.
    """

    def __init__(
        self, target: Target, server: Served, expect: bytes | None, *, pids: Sequence[int] = (),
        story: Story | None = None,
    ):
        self._target, self._server, self._expect = target, server, expect
        self._pids, self._story = list(pids), story
        self._asker, self._lines = server.asker, server.lines

    def run(self) -> None:
        """Try everything, from what is harmless to what ends the server."""
        try:
            why = self._try_everything()
        except LabError as error:
            why = str(error)
        self._lines.add_rest(ALL, why)

    def _try_everything(self) -> str:
        """Return why something was not tried."""
        server = self._server
        consumers = server.consumers_within(STARTING_SECONDS if server.started else 0)
        if not self._lines.add(SERVED, consumers > 0, f"{consumers} at {self._asker.queue}{server.how_it_ended()}"):
            return "nothing serves the queue"
        before = None if self._story else acknowledging.counted(self._target, self._asker.queue).get("messages")
        if not self._answers():
            return "no reply came to a good request"
        if self._story:
            acknowledging.by_wire(server, self._story)
        else:
            acknowledging.by_counts(server, self._target, before)
        self._answers_many()
        for name, (body, properties) in ODD.items():
            if not server.is_back():
                return "no consumer is left"
            self._survives(name, server.request if body is None else body, properties)
        ending.end_each_way(server, self._pids)
        return ""

    def _answers(self) -> bool:
        server, seen, began = self._server, len(self._asker.replies), time.monotonic()
        reply = self._asker.ask(server.request, by_id=False)
        server.took = time.monotonic() - began
        came = quoted(reply.body) if reply else f"no reply in {self._asker.timeout:g} s{server.how_it_ended()}"
        if not self._lines.add(REPLIES, reply is not None, came) or reply is None:
            return False
        if self._expect is None:
            self._lines.add(EXPECTED, NOT_TRIED, "--expect says which one it is")
        else:
            same = reply.body == self._expect
            self._lines.add(EXPECTED, same, came if same else f"{came}, not {quoted(self._expect)}")
        server.by_id = reply.id == self._asker.sent[-1]
        self._asker.quiet()
        count = len(self._asker.replies) - seen
        said = "the reply has it" if server.by_id else f"the reply has {repr(reply.id) if reply.id else 'none'}"
        self._lines.add(COPIES, server.by_id, said + (f"; {count} replies came" if count > 1 else ""))
        return True

    def _survives(self, name: str, body: bytes, properties: dict) -> None:
        server, asker, seen = self._server, self._asker, len(self._asker.replies)
        before = server.consumers()

        def fewer() -> bool:
            return server.consumers() < before

        def own() -> list[Reply]:
            return [
                one for one in asker.replies[seen:] if one is not reply and (one.id == odd or one.id not in asker.sent)
            ]

        odd = asker.send(body, **properties)
        reply = asker.ask(server.request, by_id=server.by_id, unless=fewer)
        if asker.until(fewer, QUIET_SECONDS):
            return server.add(name, False, f"consumers: {before} before, {server.consumers()} after")
        if reply is None:
            return server.add(name, False, f"no reply to the good request after it in {asker.timeout:g} s")
        # Another worker may have it, which is slower.
        if "headers" in properties and not asker.until(own, asker.timeout):
            return server.add(name, False, "no reply to it")
        replies = own()
        if server.by_id and replies and replies[0].id not in (odd, None):
            return server.add(name, False, f"its reply has the id {replies[0].id!r}")
        return server.add(name, True, _answer(replies))

    def _answers_many(self) -> None:
        server, asker, seen = self._server, self._asker, len(self._asker.replies)
        within = max(asker.timeout, 3 * MANY * max(server.took, LEAST_SECONDS))
        ids = [asker.send(server.request, within=within) for _ in range(MANY)]

        def all_came() -> bool:
            return (len(asker.answered(ids)) if server.by_id else len(asker.replies) - seen) >= MANY

        asker.until_none_comes(all_came)
        asker.quiet()
        came = asker.replies[seen:]
        if not server.by_id:
            server.add(AT_ONCE, False, f"{len(came)} replies, of which no client can say what they answer")
            return
        answered = asker.answered(ids)
        others = sum(reply.id not in asker.sent for reply in came)
        counts = {
            "more than once": sum(reply.id in answered for reply in came) - len(answered), "with another id": others,
        }
        said = [f"{count} {what}" for what, count in counts.items() if count]
        server.add(AT_ONCE, len(answered) == MANY and not said, ", ".join([f"{len(answered)} answered", *said]))


def _answer(own: list[Reply]) -> str:
    if not own:
        return "no reply to it; the good request after it was answered"
    return f"its reply: {quoted(own[0].body)}" + (" (an error)" if own[0].type == "error" else "")
