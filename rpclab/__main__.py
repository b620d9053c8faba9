"""``python -m rpclab``: the lab's broker, and the course, from a terminal."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable

import rpclab
from rpclab.broker import compose, ctl, node
from rpclab.broker.address import Broker
from rpclab.broker.find import find
from rpclab.broker.management import Management
from rpclab.broker.node_files import MOST_NODES
from rpclab.check import options as check_options
from rpclab.classroom import command as classroom
from rpclab.classroom import mark
from rpclab.errors import LabError
from rpclab.watch import options as watch_options

# What a command does; without an exit status, it has succeeded.
Run = Callable[[argparse.Namespace], int | None]


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status: 0 for success, 1 for failure, 2 for wrong arguments."""
    words = sys.argv[1:] if arguments is None else arguments
    # What follows -- is a program to start, with its own options.
    end = words.index("--") if words[:1] in (["watch"], ["check"]) and "--" in words else len(words)
    asked = _parser().parse_args(words[:end], argparse.Namespace(program=words[end + 1:]))
    try:
        return asked.run(asked) or 0
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rpclab", description=rpclab.__doc__.splitlines()[0],
        # Indented by one, the longest command leaves room on its line for what it does.
        formatter_class=functools.partial(argparse.HelpFormatter, indent_increment=1),
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, run: Run, help: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=help, description=help)
        added.set_defaults(run=run)
        return added

    def passed_on(name: str, run: Run, help: str) -> None:
        # No option here is ours: all of them, -q and --help included, are for the program behind the command.
        added = commands.add_parser(name, help=help, prefix_chars="\0", add_help=False)
        added.add_argument("arguments", nargs="*")
        added.set_defaults(run=run)

    up = command("up", _up, "find the lab's broker or start it")
    up.add_argument("--install", action="store_true", help="install RabbitMQ first if there is none")
    up.add_argument(
        "--nodes", type=int, metavar="N", choices=range(1, MOST_NODES + 1),
        help=f"a private cluster of this many nodes, up to {MOST_NODES}; those that are down are started again",
    )
    command("down", _down, "stop the lab's broker and all its processes")
    command("status", _status, "show which broker is used and whether it is running")
    command("doctor", _doctor, "check everything the course needs, and say how to get what is missing")
    passed_on("ctl", _ctl, "run rabbitmqctl on the lab's broker, for example: ctl -p publishing list_queues")
    bench = command("bench", _bench, "measure what this course claims about speed, in ratios from one run (a minute)")
    bench.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    bench.add_argument("--quick", action="store_true", help="measure roughly, in ten seconds")
    bench.add_argument("--soak", type=float, metavar="SECONDS", help="instead, call at full rate while things break")
    sweep = command("sweep", _sweep, "break something at each frame of a request and check what is promised (minutes)")
    sweep.add_argument("--quick", action="store_true", help="try a selection of the runs, in half a minute")
    sweep.add_argument("--only", metavar="RUN", help="try one run, or those that match, for example 'plain/*/kill/*'")
    sweep.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    watch_options.add_to(command("watch", _watch, "show live what programs and any broker say, and what is wrong"))
    check_options.add_to(command("check", _check, "test a running server from outside, in any language"))
    command("demo", _demo, "run the whole case study with real processes and print what each did")
    classroom.add_parser(commands)
    mark.add_parser(commands)
    passed_on("lab", _lab, "open the lessons in JupyterLab, in your own folder; --help lists the options")
    return parser


def _up(asked: argparse.Namespace) -> None:
    if asked.install:
        from rpclab.broker.install import ensure_installed

        ensure_installed()
    _describe(find() if asked.nodes is None else _cluster(asked.nodes))


def _cluster(count: int) -> Broker:
    if os.environ.get("RPCLAB_BROKER"):
        raise LabError("RPCLAB_BROKER names the broker to use, so that none is started. Unset it to start a cluster.")
    if compose.running():
        raise LabError("The lab's broker runs in Docker. Stop it first: python -m rpclab down")
    return node.start(count=count).broker


def _down(asked: argparse.Namespace) -> None:
    stopped = ["private node"] if node.stop() else []
    try:
        stopped += ["Docker Compose"] if compose.stop() else []
    finally:
        if stopped:
            print(f"Stopped: {', '.join(stopped)}.")
    if not stopped:
        print("No broker of the lab was running.")


def _status(asked: argparse.Namespace) -> None:
    _describe(find(start=False))


def _describe(broker: Broker) -> None:
    with Management(broker) as api:
        overview, nodes = api.fetch("overview"), api.get("nodes") or ()
    print(f"RabbitMQ {overview['rabbitmq_version']} on Erlang {overview['erlang_version']} ({broker.origin})")
    print(f"  AMQP           {', '.join(f'{each.host}:{each.port}' for each in broker.all)}")
    print(f"  Management UI  {', '.join(each.management_url for each in broker.all)}")
    if len(nodes) > 1:
        # The nodes of a private cluster are all on localhost; elsewhere only the host may differ.
        names = [each["name"].removesuffix("@localhost") for each in nodes]
        states = ["running" if each["running"] else "down" for each in nodes]
        told = ", ".join(f"{name} ({state})" for name, state in zip(names, states, strict=True))
        print(f"  Nodes          {told}")
    print(f"  User           {broker.username}")
    print(f"  Password       {broker.password if broker.origin != 'RPCLAB_BROKER' else '(as in RPCLAB_BROKER)'}")


def _doctor(asked: argparse.Namespace) -> int:
    from rpclab.broker.doctor import examine

    findings = examine()
    for finding in findings:
        print(finding)
    return 0 if all(finding.ok for finding in findings) else 1


def _ctl(asked: argparse.Namespace) -> None:
    print(ctl.run(find(), *asked.arguments))


def _bench(asked: argparse.Namespace) -> int:
    from rpclab.bench.command import run

    return run(asked.soak, asked.json, quick=asked.quick)


def _sweep(asked: argparse.Namespace) -> int:
    from rpclab.sweep.command import run

    return run(asked.only, quick=asked.quick, json=asked.json)


def _watch(asked: argparse.Namespace) -> int:
    from rpclab.watch.command import run

    return run(asked)


def _check(asked: argparse.Namespace) -> int:
    from rpclab.check.command import run

    return run(asked)


def _demo(asked: argparse.Namespace) -> None:
    from rpclab.case_study import run

    run()


def _lab(asked: argparse.Namespace) -> int:
    from rpclab.jupyter import run

    return run(asked.arguments)


if __name__ == "__main__":
    sys.exit(main())
