"""A service with `remember`: what it has answered is kept on the broker for all of its workers."""

from __future__ import annotations

import time

import pytest
from shouting import in_hand_of_another_worker
from waiting import until

from rpclab import Lab, QueueArgumentsDiffer, RemoteError, RpcClient, RpcServer
from rpclab.rpc.protocol import RESENT
from rpclab.rpc.reliability import reply_memory


def answered(lab: Lab, serve, stranger, service: RpcServer, body: str, **properties) -> bytes:
    """Have one server answer a request that another one had before, and return the reply."""
    lab.wait_for(service.queue_name, ready=0, unacked=0)
    stranger.send(service.queue_name, body, **properties)
    in_hand_of_another_worker(lab, service.queue_name)
    serve(service)
    _, said = stranger.next_reply()
    lab.wait_for(service.queue_name, ready=0, unacked=0)
    service.stop()
    lab.wait_for(service.queue_name, consumers=0)
    return said


def test_an_empty_answer_is_remembered_like_any_other(lab, serve, stranger):
    worked = []
    for _ in range(2):
        service = RpcServer("quiet", lambda body: worked.append(body) or "", remember=60)
        assert answered(lab, serve, stranger, service, "hush", correlation_id="1") == b""
    assert worked == ["hush"]


def test_a_client_that_counts_like_another_one_does_not_get_the_others_answer(lab, serve, stranger):
    for body in ("one", "two"):
        service = RpcServer("shout", str.upper, remember=60)
        assert answered(lab, serve, stranger, service, body, correlation_id="1") == body.upper().encode()


def test_a_request_that_its_copy_has_overtaken_is_answered_again_and_its_work_done_once(lab, serve, stranger):
    worked = []
    serve(RpcServer("shout", lambda body: worked.append(body) or body.upper(), remember=60))
    replies = []
    for headers in ({RESENT: 1}, None):
        stranger.send("shout", "hello", correlation_id="1", headers=headers)
        replies.append(stranger.next_reply()[1])
    assert replies == [b"HELLO", b"HELLO"]
    assert worked == ["hello"]


def test_of_what_a_process_knows_the_oldest_goes_first_when_it_is_old_or_too_much(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(reply_memory.time, "monotonic", lambda: now[0])
    known = reply_memory.ReplyCache(10, 3 * reply_memory.ENTRY_BYTES)
    requests = [reply_memory.Answered(str(number), "") for number in range(4)]
    for request in requests[:3]:
        known.add(request, b"")
        now[0] += 4
    known.add(requests[1], b"again")
    assert [known.get(request) for request in requests] == [None, b"again", b"", None]
    known.add(requests[3], b"")
    assert [known.get(request) for request in requests] == [None, b"again", None, b""]
    now[0] += 11
    assert [known.get(request) for request in requests] == [None] * 4


def test_a_service_that_remembers_leaves_no_connection_open_when_it_stops(lab, serve, stranger):
    service = RpcServer("shout", str.upper, remember=60)
    answered(lab, serve, stranger, service, "hello")
    until(lambda: {link.name for link in lab.tap.links()} == {"stranger"})


def test_another_length_of_memory_is_an_error_at_once_that_names_it(lab, serve, stranger):
    answered(lab, serve, stranger, RpcServer("shout", str.upper, remember=60), "hello")
    began = time.monotonic()
    with pytest.raises(QueueArgumentsDiffer, match=r"(?s)'shout\.answered'.*'x-max-age'.*with the same value"):
        RpcServer("shout", str.upper, remember=120)
    assert time.monotonic() - began < 8
    until(lambda: {link.name for link in lab.tap.links()} == {"stranger"})


def test_a_memory_that_was_replaced_by_another_queue_is_an_error_for_the_caller_at_once(lab, serve):
    serve(RpcServer("shout", str.upper, remember=60))
    lab.delete("shout.answered")
    with lab.connect() as connection:
        connection.channel().queue_declare("shout.answered", durable=True)
    with RpcClient("shout", timeout=5) as client, pytest.raises(RemoteError) as raised:
        client.call("hello")
    assert raised.value.type == "QueueArgumentsDiffer"
    assert "'shout.answered'" in raised.value.message
