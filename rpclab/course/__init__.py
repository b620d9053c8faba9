"""Exercises, predictions and progress: what a learner does, and how it is judged by what really happened."""
