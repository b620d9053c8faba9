"""A class on one broker: makes, watches, empties and removes a user and some virtual hosts for each learner."""
