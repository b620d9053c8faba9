"""One client against another, and one server against another, in calls a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rpclab.bench.measure import Scale, alternately, seconds
from rpclab.bench.raw import InlineServer, RawClient
from rpclab.bench.report import Row
from rpclab.bench.servers import EchoServer
from rpclab.lab import Lab
from rpclab.rpc.client import RpcClient
from rpclab.rpc.workers import Workers

INLINE = "bench.inline"
THREADED = "bench.threaded"


def rows(lab: Lab, scale: Scale) -> Iterator[Row]:
    """Compare `RpcClient` with raw pika on the same server, then `RpcServer` with an inline one by the same client."""
    url, parameters = lab.broker.vhost_url(lab.vhost), lab.direct_parameters
    with (
        Workers(InlineServer, INLINE, url, count=1),
        Workers(EchoServer, THREADED, url, count=1),
        RawClient(parameters, INLINE) as raw,
        RawClient(parameters, THREADED) as raw_to_threaded,
        RpcClient(INLINE, parameters=lab.direct_parameters) as client,
    ):
        yield _compared("RpcClient : raw pika, one call after the other", scale, 0.8,
                        one_by_one(client.call, scale.calls), one_by_one(raw.call, scale.calls))
        yield _compared(f"RpcClient : raw pika, {scale.in_flight:,} in flight", scale, 1.0,
                        together(gather(client), scale.in_flight), together(raw.gather, scale.in_flight))
        yield _compared("RpcServer : inline server, one call after the other", scale, 0.8,
                        one_by_one(raw_to_threaded.call, scale.calls), one_by_one(raw.call, scale.calls))
        yield _compared(f"RpcServer : inline server, {scale.in_flight:,} in flight", scale, 0.8,
                        together(raw_to_threaded.gather, scale.in_flight), together(raw.gather, scale.in_flight))


def one_by_one(call: Callable[[str], object], count: int) -> Callable[[], float]:
    """Return a measurement: calls a second, each made when the last one was answered."""
    return lambda: count / seconds(lambda: [call("x") for _ in range(count)])


def together(gather: Callable[[list[str]], object], count: int, body: str = "x") -> Callable[[], float]:
    """Return a measurement: calls a second, all sent before the first answer is looked at."""
    return lambda: count / seconds(lambda: gather([body] * count))


def gather(client: RpcClient) -> Callable[[list[str]], list]:
    """Return a function that sends requests all at once and returns their answers in the same order."""
    return lambda bodies: [future.result() for future in [client.submit(body) for body in bodies]]


def _compared(what: str, scale: Scale, at_least: float, ours: Callable, theirs: Callable) -> Row:
    found = alternately({"ours": ours, "theirs": theirs}, scale.rounds)
    return Row.compared(what, found["ours"], found["theirs"], "/s", at_least=at_least)
