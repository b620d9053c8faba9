"""One client against another, and one server against another, in calls a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rpclab.bench.measure import Scale, alternately, seconds
from rpclab.bench.pika_baseline import RawClient
from rpclab.bench.report import Row
from rpclab.bench.servers import PREFETCH, InlineServer, Server, echo
from rpclab.lab import Lab
from rpclab.rpc.client import RpcClient
from rpclab.rpc.workers import Workers

Call = Callable[..., object]

INLINE = "bench.inline"
THREADED = "bench.threaded"


def rows(lab: Lab, scale: Scale) -> Iterator[Row]:
    """Compare `RpcClient` with raw pika on the same server, then `RpcServer` with an inline one by the same client.

    `RpcClient` waits for a confirm of each request. So it is compared with raw pika that does so too, and with raw pika
    that does not, and loses what the broker does not take.
    """
    url, parameters = lab.broker.vhost_url(lab.vhost), lab.direct_parameters
    with (
        Workers(InlineServer, INLINE, url, count=1),
        Workers(Server, THREADED, url, echo, PREFETCH, count=1),
        RawClient(parameters, INLINE) as raw,
        RawClient(parameters, INLINE, confirms=True) as confirming,
        RawClient(parameters, THREADED) as raw_to_threaded,
        RpcClient(INLINE, parameters=parameters) as client,
    ):

        def gather(bodies: list[str]) -> list[str]:
            return [future.result() for future in [client.submit(body) for body in bodies]]

        yield _one_by_one("RpcClient : raw pika that confirms", scale, client.call, confirming.call, at_least=0.8)
        yield _one_by_one("RpcClient : raw pika", scale, client.call, raw.call, at_least=0.75)
        yield _together("RpcClient : raw pika", scale, gather, raw.gather, at_least=1.0)
        yield _one_by_one("RpcServer : inline server", scale, raw_to_threaded.call, raw.call, at_least=0.8)
        yield _together("RpcServer : inline server", scale, raw_to_threaded.gather, raw.gather, at_least=0.8)


def one_by_one(call: Callable[[str], object], count: int) -> Callable[[], float]:
    """Return a measurement: calls a second, each made when the last one was answered."""
    return lambda: count / seconds(lambda: [call("x") for _ in range(count)])


def together(gather: Callable[[list[str]], object], count: int) -> Callable[[], float]:
    """Return a measurement: calls a second, all sent before the first answer is read."""
    return lambda: count / seconds(lambda: gather(["x"] * count))


def _one_by_one(what: str, scale: Scale, ours: Call, theirs: Call, *, at_least: float) -> Row:
    sides = one_by_one(ours, scale.calls), one_by_one(theirs, scale.calls)
    found = alternately(*sides, rounds=scale.short_rounds)
    return Row.compared(f"{what}, one call after the other", *found, at_least=at_least)


def _together(what: str, scale: Scale, ours: Call, theirs: Call, *, at_least: float) -> Row:
    sides = together(ours, scale.in_flight), together(theirs, scale.in_flight)
    found = alternately(*sides, rounds=scale.rounds)
    return Row.compared(f"{what}, {scale.in_flight:,} in flight", *found, at_least=at_least)
