"""A class on one broker: a user and some virtual hosts for each learner, made, watched, emptied and removed."""
