"""What scripts write, as it comes: the logs of steps at work."""
