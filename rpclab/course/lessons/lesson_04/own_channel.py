"""A delivery tag goes back on the channel that delivered, once."""

from __future__ import annotations

from rpclab.course.evidence import acked
from rpclab.course.exercise import Exercise
from rpclab.course.findings import not_consumed, refused, stopped
from rpclab.course.inside import serve
from rpclab.course.trial import Trial
from rpclab.course.verdict import Mistake

LETTERS = ("letter 1", "letter 2", "letter 3")


def own_channel(trial: Trial, answer: type) -> str:
    """Have three letters archived, and see who acknowledges them where."""
    trial.declare("letters", "archive")
    letters = [trial.publish("letters", body) for body in LETTERS]
    running = trial.run("Archivist", serve, answer)
    done = trial.wait(lambda: all(map(acked, letters)), running)
    refused(trial)
    stopped(trial, running)
    if not letters[0].deliveries:
        not_consumed(trial, "letters")
    if not done:
        first = next(letter for letter in letters if not acked(letter))
        raise Mistake(
            f"`{first.text()}` was delivered and not acknowledged, so the worker is sent nothing more: "
            f"{trial.counts('letters')['ready']} letters wait. The tag has to go back, on the channel it came by."
        )
    copies = trial.counts("archive")["ready"]
    if copies != len(LETTERS):
        raise Mistake(f"All letters were acknowledged, and `archive` holds {copies} of {len(LETTERS)}.")
    return (
        "Each letter was published on the one channel and acknowledged on the other, the one that had delivered it. "
        "The broker had nothing to complain about: 3 letters in `archive`, none left in `letters`."
    )


EXERCISE = Exercise(
    id="04-own-channel",
    title="Spot and mend: the unknown delivery tag",
    task="""
This worker copies letters to `archive`. It dies on the first one, with `406 PRECONDITION_FAILED - unknown delivery
tag 1`, and leaves the letter to be copied again by the next worker. Mend it.
""",
    name="Archivist",
    starter="""\
class Archivist(rpclab.BaseServer):
    def __init__(self):
        super().__init__("letters")
        self.outgoing = self.connection.channel()

    def on_request(self, ch, method, props, body):
        self.outgoing.basic_publish("", "archive", body)
        self.outgoing.basic_ack(method.delivery_tag)
""",
    solved="""\
class Archivist(rpclab.BaseServer):
    def __init__(self):
        super().__init__("letters")
        self.outgoing = self.connection.channel()

    def on_request(self, ch, method, props, body):
        self.outgoing.basic_publish("", "archive", body)
        ch.basic_ack(method.delivery_tag)
""",
    hints=(
        "There are two channels in this class. Which one delivered the letter?",
        "A delivery tag is a number that one channel counts for itself; to another channel it says nothing.",
        "Publish on `self.outgoing`, acknowledge on `ch`, once.",
    ),
    judge=own_channel,
)
