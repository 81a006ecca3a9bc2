"""Runs of other machines: found, brought here as far as they are told of, and renewed."""
