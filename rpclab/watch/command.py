"""How a watch begins and ends."""

from __future__ import annotations

import argparse
import functools
import math
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote, urlsplit

from rpclab.broker.environment import URL_VARIABLE
from rpclab.errors import InvalidOption
from rpclab.findings import Diagnosis
from rpclab.findings.case import counted
from rpclab.findings.rule import ERROR
from rpclab.story.player import MOST_MESSAGES
from rpclab.story.story import Story
from rpclab.watch.lines import JsonLines, PlainLines
from rpclab.watch.outside import Outside
from rpclab.watch.program import Program
from rpclab.watch.screen import Screen
from rpclab.watch.seen import KEPT, Seen
from rpclab.watch.target import Target, environment, target
from rpclab.wire.tap import Tap

View: TypeAlias = Screen | PlainLines | JsonLines

REFRESH_SECONDS = 0.25
MOST_PORTS = 65_535
# How often Python lets another thread run: the tap's must not wait for a picture that is being drawn.
SWITCH_SECONDS = 0.0005


def run(asked: argparse.Namespace) -> int:
    """Watch until it is over and return the exit code."""
    _validate(asked)
    found = target(asked.url)
    with ExitStack() as stack:
        stack.callback(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(SWITCH_SECONDS)
        tap = stack.enter_context(Tap(found.broker, keep=0, host=asked.listen, port=asked.port, complete=False))
        # Set, the password in it is left out of all that is shown and saved.
        os.environ[URL_VARIABLE] = url = found.tapped_url(asked.listen, tap.port)
        outside = stack.enter_context(closing(Outside(found.broker.parameters(found.vhost))))
        seen = Seen(tap, outside, bodies=asked.bodies != "none")
        view, program, code = _view(asked, seen), None, None
        if isinstance(view, Screen):
            stack.callback(view.close)
        with _until_interrupted():
            view.begin(_where(found, urlsplit(url).hostname or "", tap.port), tap.port)
            if asked.program:
                program = stack.enter_context(_start(asked, url, view))
            _watch(view, program, asked.seconds)
        if program:
            code = program.ending()
            tap.catch_up()
            # Without a program of ours, what goes on is not waited for.
            seen.story.settle().end = time.monotonic()
        seen.look_again()
        _safely(view.show)
        _safely(lambda: view.end(_summary(seen)))
        if asked.save:
            print(f"Saved: {_save(seen, asked)}", file=sys.stderr)
    gravities = {one.gravity for one in seen.findings}
    return 1 if asked.exit_code and gravities & {ERROR, asked.exit_code} else code or 0


def _validate(asked: argparse.Namespace) -> None:
    if not 0 <= asked.port <= MOST_PORTS:
        raise InvalidOption(f"--port {asked.port}: it is a number from 1 to {MOST_PORTS}.")
    if asked.seconds is not None and not asked.seconds > 0:
        raise InvalidOption(f"--for {asked.seconds:g}: it is a number of seconds, more than 0.")
    if asked.save and not asked.save.resolve().parent.is_dir():
        raise InvalidOption(f"--save {asked.save}: its folder does not exist.")


def _view(asked: argparse.Namespace, seen: Seen) -> View:
    if asked.json:
        return JsonLines(seen, asked.bodies)
    on_screen = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    return Screen(seen, asked.bodies) if on_screen else PlainLines(seen, asked.bodies)


def _where(found: Target, host: str, port: int) -> str:
    broker, vhost = found.broker, "" if found.vhost == "/" else f"/{quote(found.vhost, safe='')}"
    return (
        f"Connect to amqp://USER:PASSWORD@{host}:{port}{vhost} instead of to {broker.host}:{broker.port}, with the "
        "user and password that you use there. Ctrl-C ends."
    )


def _start(asked: argparse.Namespace, url: str, view: View) -> Program:
    known = environment(url, asked.env)
    if isinstance(view, Screen):
        program = Program(asked.program, known, subprocess.PIPE)
        view.print_from(program.output)
        return program
    # What is printed as JSON is JSON only.
    return Program(asked.program, known, sys.stderr if asked.json else None)


@contextmanager
def _until_interrupted() -> Iterator[None]:
    """Go on after the block when Ctrl-C or SIGTERM ends it."""
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        return
    finally:
        signal.signal(signal.SIGTERM, before)


def _watch(view: View, program: Program | None, seconds: float | None) -> None:
    end = math.inf if seconds is None else time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        _safely(view.show)
        pause = min(REFRESH_SECONDS, left)
        if program is None:
            time.sleep(pause)
        elif program.ends_within(pause):
            return


def _safely(show: Callable[[], None]) -> None:
    """Show something; whatever goes wrong there, the traffic goes on."""
    try:
        show()
    except OSError as error:  # the pipe or the terminal has gone
        print(f"Nothing can be shown any more ({error.strerror or error}). The traffic goes on.", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception:  # noqa: BLE001  an error of the viewer is reported as one, and the next picture is tried
        _report(traceback.format_exc())


@functools.lru_cache(maxsize=100)
def _report(error: str) -> None:
    """Print an error; the same one only once."""
    print(error, file=sys.stderr)


def _summary(seen: Seen) -> str:
    counts = seen.counts
    nouns = {"connections": "connection", "messages": "message", "requests": "request", "replies": "reply"}
    said = ", ".join(counted(counts[what], noun) for what, noun in nouns.items())
    only = f" Findings are about the last {KEPT:,} messages at each look." if counts["messages"] > KEPT else ""
    return f"{said}.{only}\n{Diagnosis(seen.findings, counts['messages'])}"


def _save(seen: Seen, asked: argparse.Namespace) -> Path:
    story = seen.story
    last = Story(
        story.shown, journal=story.journal, begun=story.begun, end=story.now, messages=story.messages[-MOST_MESSAGES:],
    )
    return last.save(asked.save, redact="bodies" if asked.bodies == "none" else ())
