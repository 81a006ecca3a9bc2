"""Services of v1 that move data, or hold it, as compute targets."""
