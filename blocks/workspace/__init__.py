"""Workspaces, datastores, references to data, and what is published."""
