"""Exercises, predictions and progress: what a learner does, judged by what really happened."""
