"""The options of the command ``check``: light to import, as those of each command are read at every start."""

from __future__ import annotations

import argparse

TIMEOUT_SECONDS = 5.0
DESCRIPTION = (
    "Test a server, or a client, from outside, in whatever language it is written. To a server, real requests are "
    "sent, good ones and odd ones, so use one that may do real work. Replies go to a queue of check's own, which is "
    "deleted at the end; requests that no server takes expire. A client's program is run with right replies, and with "
    "replies that it does not expect. Each line is pass, FAIL with what was seen, or not tried with why."
)
EPILOG = (
    "Example: python -m rpclab check --server addition --request 3,5 --expect 8 -- python server.py. "
    "The exit code is 1 if something failed."
)


def add_to(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.usage = (
        "python -m rpclab check --server QUEUE --request BODY [options] [-- PROGRAM ...]\n"
        "       python -m rpclab check --client QUEUE --reply BODY [options] -- PROGRAM ..."
    )
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument("--server", metavar="QUEUE", help="test a server: the queue that it consumes from")
    whom.add_argument(
        "--client", metavar="QUEUE",
        help="test a client, whose command follows -- and is run several times: the queue that it sends requests to; "
        "check answers them, with strays, twice and late as well",
    )
    parser.add_argument("--request", metavar="BODY", help="a request that the server can answer, such as 3,5")
    parser.add_argument("--reply", metavar="BODY", help="the reply to each of the client's requests, such as 8")
    parser.add_argument("--expect", metavar="BODY", help="the reply that is right, such as 8")
    parser.add_argument("--url", help="where the broker is; the open lab, or the lab's own broker, if not given")
    parser.add_argument(
        "--pid", type=int, action="append", default=[], metavar="PID",
        help="a process of the server that is killed with its children (SIGKILL); given twice, the second gets SIGTERM",
    )
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT_SECONDS, metavar="SECONDS",
        help="how long a reply may take, or a client may wait for one (default: 5)",
    )
    parser.add_argument(
        "--env", action="append", default=[], metavar="NAME",
        help="one more variable by which the program finds its broker",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
