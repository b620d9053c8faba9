"""Lesson 09: errors that are told, requests that kill, work that is done once, and callers that ask again."""

from __future__ import annotations

from rpclab.course.lessons.lesson_09 import answer_errors, ask_again, order_once, put_poison_aside
from rpclab.course.lessons.lesson_09.predictions import PREDICTIONS

__all__ = ["EXERCISES", "PREDICTIONS", "TITLE"]

TITLE = "When things fail"
EXERCISES = (order_once.EXERCISE, answer_errors.EXERCISE, put_poison_aside.EXERCISE, ask_again.EXERCISE)
