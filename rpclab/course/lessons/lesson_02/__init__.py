"""Lesson 02: patterns, copies for a third party, and bindings that somebody left behind."""

from __future__ import annotations

from rpclab.course.lessons.lesson_02 import copy_for_audit, every_failure, left_behind
from rpclab.course.lessons.lesson_02.predictions import PREDICTIONS

__all__ = ["EXERCISES", "PREDICTIONS", "TITLE"]

TITLE = "Routing"
EXERCISES = (copy_for_audit.EXERCISE, every_failure.EXERCISE, left_behind.EXERCISE)
