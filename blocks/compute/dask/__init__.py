"""Steps on Dask workers, GPUs included."""
