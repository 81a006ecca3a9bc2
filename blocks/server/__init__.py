"""Prefect's server: which one, whether it answers, this home's own; and its blocks as documents."""
