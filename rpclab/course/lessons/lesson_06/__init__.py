"""Lesson 06: strays, deadlines, errors that are answers, and callback queues that are shared."""

from __future__ import annotations

from rpclab.course.lessons.lesson_06 import a_stray_first, error_is_an_answer, one_deadline, stolen_replies
from rpclab.course.lessons.lesson_06.predictions import PREDICTIONS

__all__ = ["EXERCISES", "PREDICTIONS", "TITLE"]

TITLE = "Request and reply"
EXERCISES = (a_stray_first.EXERCISE, one_deadline.EXERCISE, error_is_an_answer.EXERCISE, stolen_replies.EXERCISE)
