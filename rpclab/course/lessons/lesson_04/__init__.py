"""Lesson 04: when to acknowledge, what becomes of what cannot be done, and on which channel."""

from __future__ import annotations

from rpclab.course.lessons.lesson_04 import ack_after_work, end_the_loop, own_channel
from rpclab.course.lessons.lesson_04.predictions import PREDICTIONS

__all__ = ["EXERCISES", "PREDICTIONS", "TITLE"]

TITLE = "Acknowledging"
EXERCISES = (ack_after_work.EXERCISE, end_the_loop.EXERCISE, own_channel.EXERCISE)
