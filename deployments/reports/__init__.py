"""What people are told of runs, in words and tables."""
