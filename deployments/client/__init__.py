"""Published pipelines from the side of their callers."""
