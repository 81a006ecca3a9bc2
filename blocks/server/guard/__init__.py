"""What stands before Prefect's app in this home's server: signing in by a link, reports of runs, and answers that are remembered."""
