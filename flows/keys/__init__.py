"""What decides a result: the rows of a step's key, from its source, its command, its environment and its data."""
