"""The options of the command ``watch``: light to import, as those of each command are read at every start."""

from __future__ import annotations

import argparse
from pathlib import Path

from rpclab.broker.environment import URL_VARIABLE

# By these names a program is told where its broker is. The last one is that of rpclab's own programs.
VARIABLES = ("AMQP_URL", "RABBITMQ_URL", "CLOUDAMQP_URL", URL_VARIABLE)
# How many characters of a body are shown.
BODIES = {"none": 0, "short": 40, "full": 4096}
LOOPBACK = "127.0.0.1"
DESCRIPTION = (
    "Show live what programs and their broker say to each other, and what is wrong with it. Programs connect to a port "
    "of this machine instead of to the broker; everything is read and passed on unchanged. "
    f"After -- comes a program to start, which finds that port's URL in {', '.join(VARIABLES[:3])} and ends with the "
    "watch. When the watch ends, so do the connections that go through it."
)
EPILOG = (
    "Examples: python -m rpclab watch amqp://user:password@host/vhost; python -m rpclab watch -- node server.js. "
    "The exit code is the program's, or 0."
)


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.usage = "python -m rpclab watch [options] [URL] [-- PROGRAM ...]"
    parser.add_argument(
        "url", nargs="?", metavar="URL", help="the broker; the open lab, or the lab's own broker, if not given"
    )
    parser.add_argument("--port", type=int, default=0, help="the port to listen at; one that is free if not given")
    parser.add_argument(
        "--listen", default=LOOPBACK, metavar="ADDRESS",
        help="listen at another address than loopback, which other machines can reach; passwords cross the network",
    )
    parser.add_argument(
        "--env", action="append", default=[], metavar="NAME", help="one more variable that gives the program the URL"
    )
    parser.add_argument("--for", dest="seconds", type=float, metavar="SECONDS", help="end after this many seconds")
    parser.add_argument(
        "--bodies", choices=BODIES, default="short", help="how much of each message is shown (default: short)"
    )
    parser.add_argument(
        "--save", type=Path, metavar="FILE.html",
        help="write the last 400 messages to a page that plays them; with --bodies none without bodies",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON object for each thing that happens")
    parser.add_argument(
        "--exit-code", choices=("error", "warning"), nargs="?", const="error",
        help="exit with 1 if an error was found, or with warning also if a warning was",
    )
