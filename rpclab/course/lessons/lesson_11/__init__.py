"""Lesson 11: what a cluster keeps when a node dies, and when it stops; it is predicted, and has no exercises."""

from __future__ import annotations

from rpclab.course.lessons.lesson_11.predictions import PREDICTIONS

__all__ = ["EXERCISES", "PREDICTIONS", "TITLE"]

TITLE = "Beyond one machine"
EXERCISES = ()
