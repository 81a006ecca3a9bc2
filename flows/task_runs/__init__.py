"""What Prefect's server is told of task runs that its engine did not run: the same events, in batches."""
