"""The home folder, file moves, and locks between processes."""
