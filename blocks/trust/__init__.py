"""Who signs results that others use, and whom a workspace believes."""
