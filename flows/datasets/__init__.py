"""Outputs of steps as datasets: how they are read, registered and consumed."""
