"""Runs as pages: a report in one file, and what notebooks show."""
