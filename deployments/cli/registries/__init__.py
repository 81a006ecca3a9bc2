"""The command line of what a workspace knows by name and version."""
