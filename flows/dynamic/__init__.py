"""What of a pipeline is known at its run only: the items of mapped steps, and whether conditions hold."""
