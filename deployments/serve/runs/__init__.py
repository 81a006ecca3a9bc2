"""Runs of which Prefect believes something else than is so: what has become of them is found, told, and mended."""
