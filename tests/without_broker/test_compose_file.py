from __future__ import annotations

import shutil
import subprocess

import pytest
import yaml

from rpclab.broker import compose


@pytest.fixture
def document() -> dict:
    return yaml.safe_load(compose.compose_file().read_text())


@pytest.fixture
def broker(document) -> dict:
    return document["services"][compose.SERVICE]


def test_its_ports_are_published_on_loopback_alone_where_the_lab_looks_for_them(broker):
    assert set(broker["ports"]) == {f"127.0.0.1:{compose.PORT}:5672", f"127.0.0.1:{compose.MANAGEMENT_PORT}:15672"}


def test_a_rabbitmq_of_the_system_may_keep_the_usual_ports():
    assert not {compose.PORT, compose.MANAGEMENT_PORT} & {5672, 15672, 25672}


def test_its_image_has_the_management_plugin_and_can_be_chosen(broker):
    assert broker["image"].startswith("${RABBITMQ_IMAGE:-rabbitmq:")
    assert broker["image"].endswith("-management}")


def test_its_user_is_the_labs_and_not_guest(broker, monkeypatch):
    monkeypatch.delenv("RPCLAB_PASSWORD", raising=False)
    environment = broker["environment"]
    assert environment["RABBITMQ_DEFAULT_USER"] == compose.broker().username != "guest"
    assert environment["RABBITMQ_DEFAULT_PASS"] == f"${{RPCLAB_PASSWORD:-{compose.broker().password}}}"


@pytest.mark.parametrize("password", ["simple", "p@ss/w:rd#1%"])
def test_another_password_is_taken_from_the_environment(monkeypatch, password):
    monkeypatch.setenv("RPCLAB_PASSWORD", password)
    found = compose.broker()
    assert (found.password, found.host, found.port) == (password, "127.0.0.1", compose.PORT)


def test_it_is_healthy_only_when_one_can_connect(broker):
    test = broker["healthcheck"]["test"]
    assert "check_port_listener" in test
    assert test[-1] == "5672"
    assert broker["healthcheck"]["retries"] > 0


def test_its_data_lies_in_a_named_volume(document, broker):
    (volume,) = broker["volumes"]
    name, _, place = volume.partition(":")
    assert name in document["volumes"]
    assert place == "/var/lib/rabbitmq"
    assert broker["hostname"]


def compose_works() -> bool:
    return shutil.which("docker") is not None and not subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    ).returncode


@pytest.mark.skipif(not compose_works(), reason="`docker compose version` does not work here")
def test_docker_compose_itself_accepts_the_file():
    command = ["docker", "compose", "--file", str(compose.compose_file()), "config", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
