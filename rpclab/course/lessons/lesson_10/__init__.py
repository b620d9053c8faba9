"""Lesson 10: deleting the right queues, unbinding, moving instead of purging, and counts that are true now."""

from __future__ import annotations

from rpclab.course.lessons.lesson_10 import delete_abandoned, left_behind, live_counts, move_messages
from rpclab.course.lessons.lesson_10.predictions import PREDICTIONS

__all__ = ["EXERCISES", "PREDICTIONS", "TITLE"]

TITLE = "Running the broker"
EXERCISES = (delete_abandoned.EXERCISE, left_behind.EXERCISE, live_counts.EXERCISE, move_messages.EXERCISE)
