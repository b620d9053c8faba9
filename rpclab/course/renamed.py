"""New names of exercises and predictions: learners' records and notebooks hold the old ones."""

from __future__ import annotations

_NEW = {
    "01-mend-the-sender": "01-fix-the-sender",
    "05-mend-the-server": "05-fix-the-server",
    "05-mend-the-client": "05-fix-the-client",
    "05-whose-answer": "05-whose-reply",
    "05-two-questions": "05-two-requests",
    "06-a-stray-first": "06-unmatched-first",
    "06-error-is-an-answer": "06-error-is-a-reply",
    "06-stray-message": "06-unmatched-message",
    "07-who-answers": "07-which-server",
    "09-answer-errors": "06-error-is-a-reply",  # the same exercise twice, which takes the same answers
    "09-put-poison-aside": "09-quarantine-poison",
    "09-ask-again": "09-call-again",
}


def current(id: str) -> str:
    """Return the name that an exercise or prediction has now; one may have been renamed more than once."""
    while id in _NEW:
        id = _NEW[id]
    return id
