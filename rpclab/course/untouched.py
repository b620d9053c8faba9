"""Telling an answer that nobody has written yet from one that is wrong.

Compiled code is compared, not text: it is there for a notebook's cell as for a module, and knows no comments or blanks.
"""

from __future__ import annotations

import ast
import dis
from types import CodeType, FunctionType

import pika

import rpclab

_NOTHING_BUT = {
    "RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE", "MAKE_CELL", "COPY_FREE_VARS", "CACHE",
}


def defined(source: str, name: str, *, apart: bool = False) -> object:
    """Run an exercise's own code as a cell would, and return what it defines under a name.

    Parameters
    ----------
    source : str
        The code.
    name : str
        A name that it defines.
    apart : bool
        Whether to compile each statement by itself, as IPython does. Python compiles a call like ``time.time()``
        otherwise when it sees the import together with it.
    """
    cell = {"__name__": "__main__", "pika": pika, "rpclab": rpclab}
    whole = ast.parse(source)
    for part in [ast.Module([one], []) for one in whole.body] if apart else [whole]:
        exec(compile(part, f"<{name}>", "exec", dont_inherit=True), cell)
    return cell[name]


def untouched(answer: object, starter: str, name: str) -> bool:
    """Tell whether an answer is nothing, a mere ``...``, or the code that the learner began with.

    Parameters
    ----------
    answer : object
        What the learner hands over: a function or a class.
    starter : str
        The code that the exercise begins with.
    name : str
        What the starter defines.
    """
    if answer is None or answer is ...:
        return True
    functions = _functions(answer)
    if functions is None:
        return False
    if all(map(_is_empty, functions.values())):
        return True
    return any(_same(functions, _functions(defined(starter, name, apart=apart))) for apart in (True, False))


def _functions(answer: object) -> dict[str, FunctionType] | None:
    """Return the functions that an answer consists of, or None if it is neither function nor class."""
    if isinstance(answer, FunctionType):
        return {"": answer}
    if isinstance(answer, type):
        return {name: value for name, value in vars(answer).items() if isinstance(value, FunctionType)}
    return None


def _is_empty(function: FunctionType) -> bool:
    """Tell whether a function does nothing and returns None: ``...``, ``pass``, or a docstring alone."""
    steps = list(dis.get_instructions(function.__code__))
    return all(step.opname in _NOTHING_BUT and (step.opcode not in dis.hasconst or step.argval is None)
               for step in steps)


def _same(one: dict[str, FunctionType], other: dict[str, FunctionType]) -> bool:
    return one.keys() == other.keys() and all(
        _shape(one[name].__code__) == _shape(other[name].__code__)
        and one[name].__defaults__ == other[name].__defaults__ for name in one
    )


def _shape(code: CodeType) -> tuple:
    """Return what makes two pieces of code do the same, without where they were written."""
    constants = tuple(_shape(c) if isinstance(c, CodeType) else (type(c), c) for c in code.co_consts)
    return code.co_code, constants, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
