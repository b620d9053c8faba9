"""rpclab: request/reply over RabbitMQ, learned on a real broker.

Names are loaded when they are first used, so that importing the package is quick.
"""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

# Read from the file that type checkers and editors read too, so that the names are listed once.
_IMPORTS = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")).body
_MODULE_OF = {name.name: line.module for line in _IMPORTS if isinstance(line, ast.ImportFrom) for name in line.names}

__version__ = "0.1.0"
__all__ = list(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
