from __future__ import annotations

import subprocess
import sys

import pytest

from rpclab.__main__ import main

COMMANDS = ("up", "down", "status", "doctor", "ctl", "sweep", "watch", "check", "demo", "classroom", "mark", "lab")
COMMANDS_WITH_HELP = ("up", "down", "status", "doctor", "sweep", "watch", "check", "demo", "classroom", "mark", "lab")


def test_without_a_command_it_exits_with_2_and_shows_the_usage():
    done = subprocess.run([sys.executable, "-m", "rpclab"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "usage: python -m rpclab" in done.stderr
    assert done.stdout == ""


def test_an_unknown_command_exits_with_2_and_names_those_there_are(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["fly"])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert all(command in said for command in COMMANDS)


def test_an_unknown_option_exits_with_2():
    with pytest.raises(SystemExit) as ended:
        main(["up", "--fast"])
    assert ended.value.code == 2


def test_the_help_says_what_each_command_does(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    for command in COMMANDS:
        assert any(line.split()[:1] == [command] and len(line.split()) > 3 for line in lines), command


@pytest.mark.parametrize("command", COMMANDS_WITH_HELP)
def test_each_command_has_help_of_its_own(capsys, command):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: python -m rpclab {command}" in capsys.readouterr().out


def test_up_tells_of_its_option_to_install(capsys):
    with pytest.raises(SystemExit):
        main(["up", "--help"])
    assert "--install" in capsys.readouterr().out
