"""What happens to the requests that a server holds when it is ended."""

from __future__ import annotations

import psutil

from rpclab.check.lines import NOT_TRIED
from rpclab.check.served import OR_START_IT, SETTLING_SECONDS, Served
from rpclab.watch.program import family, outlasting, send

ENDING_SECONDS = 10
KILLED = "loses no request when killed (SIGKILL)"
TERMINATED = "stops on SIGTERM and loses no request"


def end_each_way(server: Served, pids: list[int]) -> None:
    """Kill the server while it holds a request, and then another one by SIGTERM.

    Parameters
    ----------
    server : Served
        The server.
    pids : list of int
        Processes that may be ended; none if check starts the server.
    """
    for name, pid in zip((KILLED, TERMINATED), [*pids, None, None], strict=False):
        if server.started:
            if not server.is_back():
                server.lines.add(name, NOT_TRIED, "no consumer is left")
                continue
            pid = server.started.program.pid
        if pid is None:
            gave = f"the only process given was killed: give --pid twice, {OR_START_IT}"
            why = gave if pids else f"--pid says which process may be ended, {OR_START_IT}"
            server.lines.add(name, NOT_TRIED, why)
            continue
        processes = family(pid)
        try:
            _end(server, name, pid, processes)
        except psutil.AccessDenied:
            server.lines.add(name, NOT_TRIED, f"this user may not stop process {pid}")
        finally:
            send(psutil.Process.resume, processes)


def _end(server: Served, name: str, pid: int, processes: list[psutil.Process]) -> None:
    asker, seen = server.asker, len(server.asker.replies)
    # Stopped, it holds what it is sent for as long as need be.
    send(psutil.Process.suspend, processes)
    consumers = server.consumers()
    ids = {id for _ in range(2 * consumers) if (id := asker.send(server.request, within=3 * ENDING_SECONDS))}
    asker.quiet()

    def unanswered() -> int:
        return len(ids) - (len(asker.answered(ids)) if server.by_id else len(asker.replies) - seen)

    held = unanswered() - asker.counts().message_count
    if not processes or held < 1:
        server.lines.add(name, NOT_TRIED, f"process {pid} was sent no request: is it a worker of this queue?")
        return
    if name == KILLED:
        send(psutil.Process.kill, processes)
        left = outlasting(processes, ENDING_SECONDS)
    else:
        processes[0].terminate()
        send(psutil.Process.resume, processes)
        left = outlasting(processes[:1], ENDING_SECONDS)
    if left:
        server.lines.add(name, False, f"process {pid} still runs after {ENDING_SECONDS} s")
        return
    asker.until(lambda: server.consumers() < consumers, SETTLING_SECONDS)
    patience = max(asker.timeout, 2 * len(ids) * server.took)
    asker.until(lambda: not unanswered() or not server.consumers(), patience)
    back: dict[str, bool] = {}
    if not server.consumers():
        asker.until(lambda: (back.update(asker.take_back()), unanswered() <= len(back))[1], SETTLING_SECONDS)
    lost = unanswered() - len(back)
    if lost > 0:
        server.lines.add(name, False, f"{_requests(lost)} of {held} that it held are gone, never answered: it "
                         "acknowledges before its work is done, or consumes with auto-ack")
        return
    again = sum(back.values())
    where = f"{again} back in the queue, marked as redelivered" if again else "answered after all"
    server.lines.add(name, True, f"{_requests(held)} held: {where}{server.how_it_ended()}")


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"
