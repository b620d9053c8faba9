"""A broker that is made up, with clients and workers, in which all that is left to chance is drawn from one seed.

What a client says is seen by the tap at once and reaches the broker some time later. What the broker says is under way
for some time until the tap sees it, on each connection in order. So what the tap sees is what it could really see.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

from conversation import Peer, Wire
from pika import spec

TIMED_OUT = spec.Channel.Close(406, "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. See", 0, 0)


class Connection:
    """One client's or worker's, with what is under way on it in both directions."""

    def __init__(self, peer: Peer):
        self.peer = peer
        self.to_broker: deque[Callable[[], None]] = deque()
        self.to_tap: deque[Callable[[], None]] = deque()


class Worker(Connection):
    """Takes requests, and what it has in hand; the broker counts what it has sent and not got back."""

    def __init__(self, peer: Peer, replies: Peer):
        super().__init__(peer)
        self.replies = replies
        self.in_hand: deque[tuple[str, int]] = deque()
        self.unacked: list[str] = []
        self.alive = True


class Simulation:
    """Clients ask, workers answer, give back, die or are cut off, and the broker delivers, until all is answered."""

    def __init__(self, seed: int):
        self._random = random.Random(seed)
        self.wire = Wire(seconds_between=self._random.choice((0.0, 0.001, 0.02, 0.05)))
        self._prefetch = self._random.choice((1, 3))
        self._troubles = self._random.choice((0, 2, 5))
        self._queue: list[tuple[str, bool]] = []
        self.wire.peer("admin").declares("work")
        self._clients = [self._client(name) for name in ("A", "B")]
        self._to_ask = {(name, str(number)) for name in "AB" for number in range(1, self._random.choice((2, 4)))}
        self._workers = [self._new_worker() for _ in range(2)]

    def run(self) -> Wire:
        while actions := self._possible():
            self._random.choice(actions)()
        return self.wire

    def _client(self, name: str) -> Connection:
        peer = self.wire.peer(name)
        peer.declares_its_own(f"amq.gen-{name}")
        peer.consumes(f"amq.gen-{name}", auto_ack=True)
        return Connection(peer)

    def _new_worker(self) -> Worker:
        peer = self.wire.peer("worker")
        peer.consumes("work")
        # Some services reply on another connection than the one they consume on.
        return Worker(peer, self.wire.peer("replier") if self._random.random() < 0.3 else peer)

    def _possible(self) -> list[Callable[[], None]]:
        ready = [worker for worker in self._workers if worker.alive and len(worker.unacked) < self._prefetch]
        busy = [worker for worker in self._workers if worker.alive and worker.in_hand]
        pipes = [pipe for one in (*self._clients, *self._workers) for pipe in (one.to_broker, one.to_tap) if pipe]
        actions = [lambda pipe=pipe: pipe.popleft()() for pipe in pipes]
        actions += [lambda asked=asked: self._ask(*asked) for asked in sorted(self._to_ask)]
        actions += [lambda worker=worker: self._deliver(worker) for worker in ready if self._queue]
        actions += [lambda worker=worker: self._answer(worker) for worker in busy]
        if self._troubles:
            actions += [lambda worker=worker: self._give_back(worker) for worker in busy]
            actions += [lambda worker=worker: self._die(worker) for worker in busy]
            # What the broker has sent long ago, the tap has seen.
            actions += [lambda worker=worker: self._cut_off(worker) for worker in busy if not worker.to_tap]
        return actions

    def _ask(self, name: str, number: str) -> None:
        self._to_ask.remove((name, number))
        client = self._clients["AB".index(name)]
        # Both count 1, 2, 3, and ask the same: only the reply queue tells their requests apart.
        client.peer.publishes("work", "same", reply_to=f"amq.gen-{name}", correlation_id=number)
        client.to_broker.append(lambda: self._queue.append((f"{name}{number}", False)))

    def _deliver(self, worker: Worker) -> None:
        asked, redelivered = self._queue.pop(0)
        worker.unacked.append(asked)

        def seen() -> None:
            if worker.alive:
                properties = {"reply_to": f"amq.gen-{asked[0]}", "correlation_id": asked[1:]}
                worker.in_hand.append((asked, worker.peer.gets("work", "same", redelivered=redelivered, **properties)))

        worker.to_tap.append(seen)

    def _answer(self, worker: Worker) -> None:
        asked, tag = worker.in_hand.popleft()
        client = self._clients["AB".index(asked[0])]
        reply = {"correlation_id": asked[1:]}
        worker.replies.publishes(f"amq.gen-{asked[0]}", "done", **reply)
        arrive = lambda: client.peer.gets(f"amq.gen-{asked[0]}", "done", **reply)  # noqa: E731  it has no other name
        worker.to_broker.append(lambda: client.to_tap.append(arrive))
        if self._troubles and self._random.random() < 0.2:
            worker.in_hand.appendleft((asked, tag))
            self._die(worker)
        else:
            worker.peer.acks(tag)
            worker.to_broker.append(lambda: asked in worker.unacked and worker.unacked.remove(asked))

    def _give_back(self, worker: Worker) -> None:
        self._troubles -= 1
        asked, tag = worker.in_hand.popleft()
        worker.peer.says(spec.Basic.Nack(delivery_tag=tag, requeue=True))
        worker.to_broker.append(lambda: self._put_back(worker, asked))

    def _die(self, worker: Worker) -> None:
        self._troubles -= 1
        worker.alive = False
        worker.peer.ends()
        worker.to_broker.append(lambda: self._put_back(worker, *worker.unacked))
        self._workers.append(self._new_worker())

    def _cut_off(self, worker: Worker) -> None:
        """Have the broker close a worker's channel: what it holds is delivered again, perhaps before the tap knows."""
        self._troubles -= 1
        worker.in_hand.clear()
        worker.to_broker.clear()
        worker.to_tap.append(lambda: worker.peer.hears(TIMED_OUT))
        worker.to_tap.append(worker.peer.ends)
        self._put_back(worker, *worker.unacked)
        worker.alive = False
        self._workers.append(self._new_worker())

    def _put_back(self, worker: Worker, *given: str) -> None:
        for asked in reversed(given):
            if asked in worker.unacked:
                worker.unacked.remove(asked)
                self._queue.insert(0, (asked, True))
