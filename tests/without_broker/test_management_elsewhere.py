"""What answers at the address of the management API need not be one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from rpclab.broker.address import Broker
from rpclab.broker.doctor import broker as broker_finding
from rpclab.broker.management import Management
from rpclab.errors import BrokerUnavailable


class NothingThere(BaseHTTPRequestHandler):
    """A web server that has never heard of RabbitMQ."""

    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *said: object) -> None:
        """Keep the tests' output clean."""


class PageForEverything(NothingThere):
    """A proxy's login page, say: every address shows it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Log in, please</html>")


class HangsUp(NothingThere):
    """A node in trouble: it takes a request and closes the connection."""

    def do_GET(self) -> None:
        self.close_connection = True


@pytest.fixture(params=[NothingThere, PageForEverything])
def elsewhere(request) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), request.param) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_another_web_server_is_named_together_with_the_variable_that_led_to_it(elsewhere):
    broker = Broker("amqp://me:secret@127.0.0.1:5672", elsewhere, "RPCLAB_BROKER")
    said = pytest.raises(BrokerUnavailable, match=rf"{elsewhere} .*RPCLAB_MANAGEMENT")
    with Management(broker) as api, said as raised:
        api.fetch("whoami")
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("elsewhere", [HangsUp], indirect=True)
def test_the_error_says_why_each_node_of_a_cluster_does_not_answer(elsewhere):
    gone = Broker("amqp://127.0.0.1:1", "http://127.0.0.1:1", "private cluster")
    broker = Broker("amqp://127.0.0.1:2", elsewhere, "private cluster", others=(gone,))
    said = rf"{elsewhere} \(Server disconnected[^)]*\).*|http://127\.0\.0\.1:1 \([^)]*refused\).*"
    with Management(broker) as api, pytest.raises(BrokerUnavailable, match=rf"(?:{said}){{2}}"):
        api.fetch("whoami")


def test_the_doctor_names_it_as_well(elsewhere, monkeypatch):
    monkeypatch.setenv("RPCLAB_BROKER", "amqp://me:secret@127.0.0.1:5672")
    monkeypatch.setenv("RPCLAB_MANAGEMENT", elsewhere)
    found = broker_finding()
    assert not found.ok
    assert "RPCLAB_MANAGEMENT" in found.detail
