"""Datasets: registered in versions, which files they are now, tables and folders of them."""
