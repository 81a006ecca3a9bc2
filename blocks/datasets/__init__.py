"""Datasets: made of paths, registered in versions, read on this machine, given to steps."""
