"""What lesson 02 asks before a cell is run."""

from __future__ import annotations

from rpclab.course.question import Option, Question

PREDICTIONS = (
    Question(
        id="02-three-words",
        asks="The queues `fibonacci`, `alarms` and `audit` are bound to the topic exchange `events` by `fibonacci.#`, "
             "`*.failed` and `#`. Which of them get a message with the key `fibonacci.worker.failed`?",
        options=(
            Option(
                "`alarms`, `audit` and `fibonacci`", ["alarms", "audit", "fibonacci"],
                "`*` is no wildcard for any text, as it is for file names: it stands for exactly one word, and here "
                "two come before `failed`.",
            ),
            Option(
                "`audit` and `fibonacci`", ["audit", "fibonacci"],
                "`#` takes any number of words. `*.failed` wants exactly two, and the key has three, so there is no "
                "alarm.",
            ),
            Option(
                "Only `audit`", ["audit"],
                "`fibonacci.#` takes everything that begins with the word `fibonacci`, however many words follow.",
            ),
            Option(
                "Only `fibonacci`, whose binding fits best", ["fibonacci"],
                "Bindings do not compete. Each one is looked at by itself, and each queue that has one that fits gets "
                "a copy.",
            ),
        ),
        happens=["audit", "fibonacci"],
    ),
    Question(
        id="02-fits-twice",
        asks="The queue `audit` is bound to `events` by `#`, and now by `*.failed` as well. A message with the key "
             "`addition.failed` fits both. How many copies does `audit` get?",
        options=(
            Option(
                "1", 1,
                "The exchange works out which queues get the message, and a queue is among them or not. How many of "
                "its bindings fit makes no difference.",
            ),
            Option(
                "2, one for each binding", 2,
                "A binding is a condition, not a pipe: it says that the queue is interested. Being interested for two "
                "reasons makes no second message.",
            ),
            Option(
                "None: the second binding has replaced the first, and the exchange is asked anew", 0,
                "Bindings with different keys stand side by side until somebody removes them; and both of these fit.",
            ),
        ),
        happens=1,
    ),
)
