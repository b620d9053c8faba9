"""Lesson 03: pulling until nothing is left, waiting for what is still to come, and taking one at a time."""

from __future__ import annotations

from rpclab.course.lessons.lesson_03 import empty_the_queue, fair_share, wait_for_all
from rpclab.course.lessons.lesson_03.predictions import PREDICTIONS

__all__ = ["EXERCISES", "PREDICTIONS", "TITLE"]

TITLE = "Consuming"
EXERCISES = (empty_the_queue.EXERCISE, wait_for_all.EXERCISE, fair_share.EXERCISE)
