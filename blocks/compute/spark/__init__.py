"""Steps on Spark: of this machine, or wherever its master is."""
