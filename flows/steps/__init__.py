"""Step types, one file each; their ports, settings and order."""
