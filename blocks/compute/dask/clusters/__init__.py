"""Clusters of Dask: started from their classes, grown and shrunk with the jobs there are, their nodes counted."""
