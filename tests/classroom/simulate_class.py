"""Have a whole class run a lesson at once on one broker, each learner in processes of their own: run by hand.

    python tests/classroom/simulate_class.py --students 30 notebooks/07_worker_processes.ipynb

Each learner's outputs are compared with the saved ones, as in the tests. Prints how long it took, how many connections
there were at most, what memory the node took, and which cells differed: figures of speed do when the machine is short
of processors.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil
from learners import VARIABLES, environment_of

from rpclab.broker import node
from rpclab.broker.address import Broker
from rpclab.broker.management import Management
from rpclab.classroom import provision
from rpclab.classroom.roster import Learner
from rpclab.classroom.status import ClassStatus

ROOT = Path(__file__).resolve().parents[2]
CELL_SECONDS = 600
LOOK_SECONDS = 1.0
FAILED_CELL = re.compile(r"^FAILED .*::(Cell \d+)", re.M)
MEGABYTE = 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--students", type=int, default=30)
    parser.add_argument("notebook", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for variable in VARIABLES:
            os.environ.pop(variable, None)
        os.environ["RPCLAB_HOME"] = folder
        try:
            return simulate(node.start(), asked.students, asked.notebook.resolve(), Path(folder))
        finally:
            node.stop()


def simulate(started: node.Node, students: int, notebook: Path, folder: Path) -> int:
    broker = Broker(started.broker.url, started.broker.management_url, "RPCLAB_BROKER")
    process = psutil.Process(started.pid)
    print(f"load before {psutil.getloadavg()[0]:.2f}, {psutil.cpu_count()} processors; {_memory(process)} for the node")
    begun = time.monotonic()
    made = provision.create(broker, [f"learner-{n:02}" for n in range(1, students + 1)], folder / "class.csv")
    print(f"{students} learners made in {time.monotonic() - begun:.0f} s; {_memory(process)} for the node", flush=True)
    begun = time.monotonic()
    running = {learner.user: start(learner, notebook, folder) for learner in made.learners}
    most = Counter()
    with ClassStatus(broker) as status, Management(broker) as api:
        while any(each.poll() is None for each in running.values()):
            table = status.ask()
            most["connections"] = max(most["connections"], sum(table.column("connections")))
            most["connections of one"] = max(most["connections of one"], *table.column("connections"))
            most["queues"] = max(most["queues"], sum(table.column("queues")))
            most["connected learners"] = max(most["connected learners"], sum(map(bool, table.column("connections"))))
            most["memory of the node, MB"] = max(most["memory of the node, MB"], int(_resident(process)))
            most["load"] = max(most["load"], int(psutil.getloadavg()[0]))
            time.sleep(LOOK_SECONDS)
        print(f"all ended after {time.monotonic() - begun:.0f} s; at most: {dict(most)}")
        left = [queue["name"] for queue in api.get("queues")]
    differed = Counter(cell for user in running for cell in FAILED_CELL.findall((folder / f"{user}.log").read_text()))
    ended = Counter(each.returncode for each in running.values())
    print(f"passed strictly: {ended[0]} of {students}; cells that differed: {dict(differed)}; queues left: {len(left)}")
    for user, each in running.items():
        if each.returncode:
            print(f"--- {user}\n{(folder / f'{user}.log').read_text()[-1500:]}")
            break
    return 0 if ended[0] == students else 1


def start(learner: Learner, notebook: Path, folder: Path) -> subprocess.Popen:
    """Begin to run a notebook as a learner, who has a kernel and a state folder of their own."""
    home = folder / "homes" / learner.user
    home.mkdir(parents=True)
    command = [
        sys.executable, "-m", "pytest", str(notebook), "-q", "-n", "0", "-p", "no:cacheprovider", "--color=no",
        f"--nbval-cell-timeout={CELL_SECONDS}", f"--nbval-kernel-startup-timeout={CELL_SECONDS}",
    ]
    with (folder / f"{learner.user}.log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=ROOT, env=environment_of(learner, home), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )


def _resident(process: psutil.Process) -> float:
    return process.memory_info().rss / MEGABYTE


def _memory(process: psutil.Process) -> str:
    return f"{_resident(process):.0f} MB"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests" / "classroom"))
    sys.exit(main())
