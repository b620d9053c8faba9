"""Lesson 07: a connection for each process, work for those who are free, and requests under way at the same time."""

from __future__ import annotations

from rpclab.course.lessons.lesson_07 import all_at_once, fair_shares, own_connection
from rpclab.course.lessons.lesson_07.predictions import PREDICTIONS

__all__ = ["EXERCISES", "PREDICTIONS", "TITLE"]

TITLE = "Worker processes"
EXERCISES = (own_connection.EXERCISE, all_at_once.EXERCISE, fair_shares.EXERCISE)
