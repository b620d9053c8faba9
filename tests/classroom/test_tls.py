"""Brokers behind TLS: a node that listens with a certificate made for the test, trusted or not."""

from __future__ import annotations

import datetime
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from learners import apart, enter

from rpclab import AddClient, AdditionServer, BrokerUnavailable, InvalidOption, Lab, Workers
from rpclab.__main__ import main
from rpclab.broker import node, node_files, tls
from rpclab.broker.connect import connect
from rpclab.broker.find import find
from rpclab.broker.management import Management

PAST = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)


class SecureNode:
    """A private node that listens with TLS as well, for AMQP and for its API."""

    def __init__(self, patch: pytest.MonkeyPatch, folder: Path, name: str, certificate: trustme.LeafCert):
        self.port, self.management_port = node_files.free_ports(2)
        key, chain = folder / f"{name}.key.pem", folder / f"{name}.pem"
        certificate.private_key_pem.write_to_path(key)
        certificate.cert_chain_pems[0].write_to_path(chain)
        written = node_files._write_configuration

        def with_tls(made: Path, *arguments) -> None:
            written(made, *arguments)
            with (made / "rabbitmq.conf").open("a") as file:
                file.write(
                    f"listeners.ssl.default = 127.0.0.1:{self.port}\n"
                    f"management.ssl.ip = 127.0.0.1\nmanagement.ssl.port = {self.management_port}\n"
                )
                for prefix in ("ssl_options", "management.ssl"):
                    for what, where in (("certfile", chain), ("keyfile", key), ("cacertfile", chain)):
                        file.write(f"{prefix}.{what} = {where}\n")

        with patch.context() as only_now:
            only_now.setattr(node_files, "_write_configuration", with_tls)
            self.plain = node.start(name).broker

    def url(self, host: str = "localhost") -> str:
        return f"amqps://{self.plain.credentials_url}@{host}:{self.port}"

    def management_url(self, host: str = "localhost") -> str:
        return f"https://{host}:{self.management_port}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def authority_file(authority, tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(file)
    return file


@pytest.fixture(scope="module")
def patch(tmp_path_factory) -> Iterator[pytest.MonkeyPatch]:
    with apart(tmp_path_factory.mktemp("home")) as patch:
        yield patch
        node.stop()


@pytest.fixture(scope="module")
def secure(patch, authority, tmp_path_factory) -> SecureNode:
    """A node whose certificate is for ``localhost``, and not for 127.0.0.1."""
    return SecureNode(patch, tmp_path_factory.mktemp("keys"), "node-secure", authority.issue_cert("localhost"))


@pytest.fixture
def trusted(secure, authority_file, monkeypatch) -> SecureNode:
    monkeypatch.setenv("RPCLAB_CA", str(authority_file))
    enter(monkeypatch, secure.url(), secure.management_url())
    return secure


def test_a_lab_works_over_tls_with_an_authority_of_its_own(trusted):
    with Lab("over_tls") as lab:
        with Workers(AdditionServer, count=1), AddClient() as client:
            assert client.call(3, 5) == 8
        assert lab.queues().column("name") == ["addition"]
        with connect(lab.direct_parameters) as direct:
            assert direct.channel().queue_declare("addition", passive=True).method.message_count == 0


def test_what_crosses_the_wire_is_seen_although_it_leaves_encrypted(trusted):
    with Lab("over_tls") as lab, lab.record() as story:
        channel = lab.connect().channel()
        channel.queue_declare("letters", durable=True)
        channel.basic_publish("", "letters", "hello")
        lab.wait_for("letters", ready=1)
    assert [message.body for message in story.messages] == [b"hello"]


def test_a_program_is_watched_at_a_broker_behind_tls(trusted):
    program = (
        "import os, pika; channel = pika.BlockingConnection(pika.URLParameters(os.environ['AMQP_URL'])).channel(); "
        "channel.queue_declare('letters', exclusive=True); channel.basic_publish('', 'letters', 'hello')"
    )
    command = [sys.executable, "-m", "rpclab", "watch", trusted.url(), "--", sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "connection 1 -> queue letters: message 1: hello" in done.stdout
    assert trusted.plain.password not in done.stdout


def test_status_and_doctor_reach_it(trusted, capsys):
    assert main(["status"]) == 0
    assert f"localhost:{trusted.port}" in capsys.readouterr().out
    main(["doctor"])
    assert "[ok] Broker" in capsys.readouterr().out


def refused(monkeypatch, broker: SecureNode, host: str = "localhost", management: str | None = None) -> str:
    """Return what a lab says that does not open, after all that leads to the broker has said the same."""
    enter(monkeypatch, broker.url(host), management or broker.management_url(host))
    with pytest.raises(BrokerUnavailable) as by_lab:
        Lab("refused")
    with pytest.raises(BrokerUnavailable) as by_connection:
        connect(find().parameters())
    if management is None:
        with Management(find()) as api, pytest.raises(BrokerUnavailable) as by_api:
            api.get("whoami")
        assert str(by_api.value).partition(" ")[2] == str(by_lab.value).partition(" ")[2]
    assert str(by_connection.value) == str(by_lab.value)
    return str(by_lab.value)


def test_an_unknown_authority_is_refused(secure, monkeypatch):
    said = refused(monkeypatch, secure)
    assert said.startswith(f"localhost:{secure.port} has a certificate that is not trusted: no authority")
    assert "RPCLAB_CA=/path/to/ca.pem" in said


def test_another_authority_than_the_one_named_is_refused(secure, monkeypatch, tmp_path):
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    monkeypatch.setenv("RPCLAB_CA", str(tmp_path / "other.pem"))
    assert "no authority known here has signed it" in refused(monkeypatch, secure)


def test_a_certificate_for_another_host_is_refused(secure, monkeypatch, authority_file):
    monkeypatch.setenv("RPCLAB_CA", str(authority_file))
    said = refused(monkeypatch, secure, "127.0.0.1")
    assert "it is for another host than '127.0.0.1'" in said


def test_the_tap_gets_the_same_answer_when_only_amqp_is_behind_tls(secure, monkeypatch):
    said = refused(monkeypatch, secure, management=secure.plain.management_url)
    assert "no authority known here has signed it" in said


def test_a_certificate_that_has_expired_is_refused(patch, monkeypatch, authority, authority_file, tmp_path, capsys):
    expired = authority.issue_cert("localhost", not_before=PAST, not_after=PAST + datetime.timedelta(days=1))
    broker = SecureNode(patch, tmp_path, "node-expired", expired)
    monkeypatch.setenv("RPCLAB_CA", str(authority_file))
    try:
        assert "it has expired" in refused(monkeypatch, broker)
        assert main(["doctor"]) == 1
        assert "it has expired" in capsys.readouterr().out
    finally:
        node.stop("node-expired")


def test_a_port_that_speaks_no_tls_is_told_from_a_bad_certificate(secure, monkeypatch):
    with pytest.raises(BrokerUnavailable, match="amqp:// instead of amqps://"):
        tls.check([("127.0.0.1", secure.plain.port)])


def test_a_port_where_nobody_is_says_so():
    (port,) = node_files.free_ports(1)
    with pytest.raises(BrokerUnavailable, match=f"No RabbitMQ answers at 127.0.0.1:{port} over TLS"):
        tls.check([("127.0.0.1", port)])


@pytest.mark.parametrize("text", [None, "", "no certificate"])
def test_a_file_that_holds_no_authority_is_named(monkeypatch, tmp_path, text):
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    monkeypatch.setenv("RPCLAB_CA", str(file))
    with pytest.raises(InvalidOption, match=r"RPCLAB_CA is '.*ca\.pem', which cannot be used"):
        tls.context()


def test_certificates_and_host_names_are_always_checked():
    assert tls.context().verify_mode is ssl.CERT_REQUIRED
    assert tls.context().check_hostname
