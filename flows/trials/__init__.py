"""Trials: runs that a step has made of its own script with other arguments, beside the run's flow and in its process."""
