"""The exercises and predictions of the lessons, one module for each: how to write one is told in ../README.md."""
