"""Lesson 05: the case study's server and client with their mistakes, and answers that come in any order."""

from __future__ import annotations

from rpclab.course.lessons.lesson_05 import mend_the_client, mend_the_server, whose_answer
from rpclab.course.lessons.lesson_05.predictions import PREDICTIONS

__all__ = ["EXERCISES", "PREDICTIONS", "TITLE"]

TITLE = "Callback queues"
EXERCISES = (mend_the_server.EXERCISE, mend_the_client.EXERCISE, whose_answer.EXERCISE)
