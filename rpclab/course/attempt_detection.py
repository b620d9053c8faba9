"""Distinguish an answer that the learner has not begun from a wrong one.

Compiled code is compared, not text: it exists for cells and modules alike, and has no comments or blanks.
"""

from __future__ import annotations

import ast
import dis
from types import CodeType, FunctionType
from typing import Any

import pika

import rpclab

_NOTHING_BUT = {
    "RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE", "MAKE_CELL", "COPY_FREE_VARS", "CACHE",
}


def defined(source: str, name: str, *, apart: bool = False) -> Any:
    """Run an exercise's own code as a cell does, and return what it defines under a name.

    Parameters
    ----------
    source : str
        The code.
    name : str
        A name that it defines.
    apart : bool
        Whether to compile each statement by itself, as IPython does. Python compiles a call like ``time.time()``
        differently if the import is compiled with it.
    """
    cell = {"__name__": "__main__", "pika": pika, "rpclab": rpclab}
    whole = ast.parse(source)
    for part in [ast.Module([one], []) for one in whole.body] if apart else [whole]:
        exec(compile(part, f"<{name}>", "exec", dont_inherit=True), cell)
    return cell[name]


def untouched(answer: object, starter: str, name: str) -> bool:
    """Return whether an answer is nothing, just ``...``, or the unchanged starter.

    Parameters
    ----------
    answer : object
        The learner's answer: a function or a class.
    starter : str
        The exercise's starter.
    name : str
        What the starter defines.
    """
    if answer is None or answer is ...:
        return True
    if not isinstance(answer, FunctionType | type):
        return False
    functions = _functions(answer)
    if all(map(_is_empty, functions.values())):
        return True
    shapes = _shapes(functions)
    return any(shapes == _shapes(_functions(defined(starter, name, apart=apart))) for apart in (True, False))


def _functions(answer: FunctionType | type) -> dict[str, FunctionType]:
    """Return the functions of an answer."""
    if isinstance(answer, FunctionType):
        return {"": answer}
    return {name: value for name, value in vars(answer).items() if isinstance(value, FunctionType)}


def _is_empty(function: FunctionType) -> bool:
    """Return whether a function does nothing and returns None: ``...``, ``pass``, or a docstring alone."""
    return all(
        step.opname in _NOTHING_BUT and (step.opcode not in dis.hasconst or step.argval is None)
        for step in dis.get_instructions(function.__code__)
    )


def _shapes(functions: dict[str, FunctionType]) -> dict[str, tuple]:
    return {name: (_shape(function.__code__), function.__defaults__) for name, function in functions.items()}


def _shape(code: CodeType) -> tuple:
    """Return what two equal pieces of code have in common, without where they were written."""
    constants = tuple(_shape(c) if isinstance(c, CodeType) else (type(c), c) for c in code.co_consts)
    return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
