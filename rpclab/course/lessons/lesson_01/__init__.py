"""Lesson 01: messages to nowhere, how to notice them, what survives a restart, and what a question carries."""

from __future__ import annotations

from rpclab.course.lessons.lesson_01 import know_it_arrived, made_to_last, mend_the_sender, say_where_to
from rpclab.course.lessons.lesson_01.predictions import PREDICTIONS

__all__ = ["EXERCISES", "PREDICTIONS", "TITLE"]

TITLE = "Publishing"
EXERCISES = (mend_the_sender.EXERCISE, know_it_arrived.EXERCISE, say_where_to.EXERCISE, made_to_last.EXERCISE)
