"""What learners read of exercises and predictions, and the exercises' judges: ../README.md says how to write one."""
