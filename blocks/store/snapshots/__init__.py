"""Snapshots: what stood in a source directory, each file's bytes kept once, by content."""
