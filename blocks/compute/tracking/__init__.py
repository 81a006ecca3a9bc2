"""What other trackers of experiments log in a step, taken over as if it had been logged to its run."""
