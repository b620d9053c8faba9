"""Commands and addresses that the tests of this folder use."""

from __future__ import annotations

import re
import sys
from pathlib import Path

PROGRAMS = Path(__file__).parent / "programs"
COMMAND = (sys.executable, "-m", "rpclab")


def program(name: str, *arguments: str) -> list[str]:
    """Return the command that runs one of the programs beside this file."""
    return [sys.executable, str(PROGRAMS / f"{name}.py"), *arguments]


def tapped(url: str, port: int) -> str:
    """Return a broker's URL with the port of a watch."""
    return re.sub(r"@[^/]*/", f"@127.0.0.1:{port}/", url)
