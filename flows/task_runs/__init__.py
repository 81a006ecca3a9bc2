"""What Prefect's server is told, many at once: of task runs that its engine did not run, lines of logs."""
