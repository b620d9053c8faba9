"""What `node.running` makes of a record that tells of no node."""

from __future__ import annotations

import json
import os
from dataclasses import asdict

import pytest

from rpclab.broker import node


@pytest.fixture
def record(monkeypatch, tmp_path):
    monkeypatch.setenv("RPCLAB_HOME", str(tmp_path))
    node.node_folder().mkdir()
    return node.node_folder() / "node.json"


def test_without_a_record_no_node_runs(record):
    assert node.running() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', "null"])
def test_an_unreadable_record_tells_of_no_node(record, text):
    record.write_text(text)
    assert node.running() is None


def test_another_process_that_has_got_the_pid_is_not_taken_for_the_node(record):
    record.write_text(json.dumps(asdict(node.Node("node", os.getpid(), 0.0, "/scripts", "secret", 1, 2, 3, 4))))
    assert node.running() is None
