"""A Databricks workspace: its jobs, files and clusters, and a step's run as one of its jobs."""
