"""Steps are Prefect tasks, pipelines are Prefect flows: definition, planning and running."""
