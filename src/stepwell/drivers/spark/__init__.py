"""Spark for scripts, notebooks and jars, with what Databricks has around it."""
