"""The result of a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from rpclab.sweep.cases import Case


@dataclass
class Result:
    """The result of a run.

    Attributes
    ----------
    case : Case
        The case.
    frame : str
        The frame of the fault, such as ``Basic.Publish``; empty if no such frame came.
    outcome : str
        ``answered``, or the kind of the error that ended the call.
    done : int
        How often the work was done.
    replaced : list of str
        Why client or server had to be replaced, each time.
    broken : list of str
        The promises that were broken.
    seconds : float
        How long it took.
    sequence : str
        What happened, as a sequence diagram in text form.
    log : str
        What the servers printed.
    """

    case: Case
    frame: str = ""
    outcome: str = ""
    done: int = 0
    replaced: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    seconds: float = 0.0
    sequence: str = ""
    log: str = ""

    def __str__(self) -> str:
        """Return all details, to find the cause."""
        times = "once" if self.done == 1 else f"{self.done} times"
        lines = [
            f"{self.case}, at {self.frame or 'no frame'}: {self.outcome}, the work done {times}, "
            f"in {self.seconds:.2f} s"
        ]
        lines += [f"  broken    {each}" for each in self.broken]
        lines += [f"  replaced  {each}" for each in self.replaced]
        lines += [f"    {line}" for line in self.sequence.splitlines()]
        lines += [f"    | {line}" for line in self.log.splitlines()]
        return "\n".join([*lines, f"  Repeat it: python -m rpclab sweep --only {self.case}"])
