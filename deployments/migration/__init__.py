"""A look at code of the Azure ML SDK v1 that is not run: what of it works here, what differs, what is refused."""
