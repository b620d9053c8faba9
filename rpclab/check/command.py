"""How a check is run, and what it prints."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import ExitStack
from functools import partial

import psutil

from rpclab.broker import tls
from rpclab.broker.environment import URL_VARIABLE
from rpclab.check.asker import Asker
from rpclab.check.client import ClientCheck
from rpclab.check.lines import Lines
from rpclab.check.served import Served, Started
from rpclab.check.server import ServerCheck
from rpclab.errors import InvalidOption
from rpclab.story.story import Story
from rpclab.watch.options import LOOPBACK
from rpclab.watch.program import Program
from rpclab.watch.target import Target, environment, target
from rpclab.wire.tap import Tap


def run(asked: argparse.Namespace) -> int:
    """Run the check and return the exit code."""
    _validate(asked)
    found = target(asked.url)
    # Set, the password in it is left out of what is printed.
    os.environ[URL_VARIABLE] = found.url
    # A line is printed at once, also into a pipe; JSON at the end.
    lines = Lines((lambda _: None) if asked.json else partial(print, flush=True))
    _client(asked, found, lines) if asked.client else _server(asked, found, lines)
    what = {"client": asked.client} if asked.client else {"server": asked.server}
    print(lines.to_json(**what) if asked.json else lines.summary())
    return 1 if lines.failed else 0


def _server(asked: argparse.Namespace, found: Target, lines: Lines) -> None:
    if not asked.json:
        print(f"Real requests are sent to the server at queue {asked.server!r}.", flush=True)
    with ExitStack() as stack:
        url, story, started = found.url, None, None
        if asked.program:
            tap = stack.enter_context(Tap(found.broker, keep=0))
            story, url = Story(tap.registry.shown), found.tapped_url(LOOPBACK, tap.port)
            tap.subscribe(story.take)
            known = environment(url, asked.env)
            # What is printed as JSON is JSON only.
            started = stack.enter_context(Started(lambda: Program(asked.program, known, sys.stderr)))
        asker = stack.enter_context(Asker(tls.parameters(url), asked.server, asked.timeout))
        expect = None if asked.expect is None else asked.expect.encode()
        server = Served(asker, lines, asked.request.encode(), started)
        ServerCheck(found, server, expect, pids=asked.pid, story=story).run()


def _client(asked: argparse.Namespace, found: Target, lines: Lines) -> None:
    known = environment(found.url, asked.env)
    with ClientCheck(
        tls.parameters(found.url), asked.client, asked.reply.encode(), asked.timeout,
        lambda output: Program(asked.program, known, output), lines,
    ) as check:
        check.run()


def _validate(asked: argparse.Namespace) -> None:
    if asked.server and asked.request is None:
        raise InvalidOption("--server needs --request: a request that the server can answer, such as --request 3,5.")
    if asked.client and (asked.reply is None or not asked.program):
        raise InvalidOption("--client needs --reply, the right reply to its requests, and its command after --.")
    if not asked.timeout > 0:
        raise InvalidOption(f"--timeout {asked.timeout:g}: it is a number of seconds, more than 0.")
    if asked.pid and asked.program:
        raise InvalidOption("--pid is for a server that runs already, and -- for one to start. Give one of them.")
    for pid in asked.pid:
        if not psutil.pid_exists(pid):
            raise InvalidOption(f"--pid {pid}: no process has this number.")
