"""``python -m rpclab classroom`` as a teacher types it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

import pytest
from learners import PAIR
from waiting import until

from rpclab.__main__ import main
from rpclab.classroom import roster


@pytest.mark.parametrize("action", ["create", "status", "reset", "remove"])
def test_each_action_has_help_of_its_own(action, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["classroom", action, "--help"])
    assert ended.value.code == 0
    assert f"usage: python -m rpclab classroom {action}" in capsys.readouterr().out


def test_without_an_action_it_names_those_there_are(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["classroom"])
    assert ended.value.code == 2
    assert "ACTION" in capsys.readouterr().err


def test_a_class_from_beginning_to_end(remote, api, file, capsys):
    assert main(["classroom", "create", "--students", "2", "--labs", "1", "--out", str(file)]) == 0
    said = capsys.readouterr().out
    assert "2 learners, 2 of them new or changed, 1 labs each." in said
    assert str(file) in said
    assert str(file.with_suffix(".html")) in said
    assert "--host" in said  # this broker listens on this machine only

    assert main(["classroom", "create", "--students", "2", "--labs", "1", "--out", str(file)]) == 0
    assert "nothing was changed on the broker" in capsys.readouterr().out

    assert main(["classroom", "status"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[0] == "learner-01"

    old = roster.read(file)
    assert main(["classroom", "reset", "learner-01", "--password", "--out", str(file)]) == 0
    new = roster.read(file)
    assert new[0].password != old[0].password
    assert new[0].password in capsys.readouterr().out
    assert new[1] == old[1]

    assert main(["classroom", "remove", "--yes"]) == 0
    assert capsys.readouterr().out == "Removed: 2 users and 2 virtual hosts. Files stay.\n"
    assert api.get("users", "learner-01") is None


@pytest.mark.parametrize(("answer", "status"), [("\n", 1), ("no\n", 1), ("", 1), ("y\n", 0)])
def test_removing_asks_before(remote, api, file, answer, status):
    main(["classroom", "create", "--students", "1", "--labs", "1", "--out", str(file)])
    command = [sys.executable, "-m", "rpclab", "classroom", "remove"]
    done = subprocess.run(command, input=answer, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, "")
    assert "Remove 1 users and 1 virtual hosts on 127.0.0.1, with their contents?" in done.stdout
    assert (api.get("users", "learner-01") is None) == (status == 0)


@pytest.mark.parametrize(("arguments", "said"), [
    (["create", "--out", "FILE"], "--students 30"),
    (["create", "--students", "2", "--labs", "0", "--out", "FILE"], "--labs 0"),
    (["create", "--students", "2", "--queues", "0", "--out", "FILE"], "--queues 0"),
    (["create", "--students", "2", "--class", "No Name", "--out", "FILE"], "No Name"),
    (["create", "--students", "2", "--out", "/nowhere/class.csv"], "cannot be written"),
    (["reset", "Anna", "--class", PAIR, "--password"], "--out"),
    (["reset", "Carl", "--class", PAIR], "Carl"),
    (["status", "--class", "other"], "Classes there: pair"),
    (["remove", "--class", "other"], "no such class"),
])
def test_what_cannot_be_done_is_said_in_words(remote, pair, file, capsys, arguments, said):
    assert main(["classroom", *(str(file) if each == "FILE" else each for each in arguments)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err


def test_watching_shows_the_table_again_until_it_is_interrupted(remote, pair):
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "rpclab", "classroom", "status", "--class", PAIR, "--watch"]
    with subprocess.Popen(command, stdout=theirs, stderr=subprocess.PIPE) as process:
        said = b""

        def shown_three_times() -> bool:
            nonlocal said
            said += os.read(ours, 4096)
            return said.count(b"Anna") >= 3

        until(shown_three_times)
        process.send_signal(signal.SIGINT)
        assert process.wait() == 130
        assert process.stderr.read() == b""
    os.close(ours)
    os.close(theirs)
    assert said.count(b"\x1b[2J") >= 2
