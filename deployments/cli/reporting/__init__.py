"""Commands that tell of a run in a file."""
