"""A pipeline frozen and deployed, and runs of it requested."""
