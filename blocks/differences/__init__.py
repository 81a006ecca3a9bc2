"""How two files or folders differ, in words: what a check of a step that ran twice tells."""
