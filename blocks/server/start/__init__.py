"""What this home's server starts on: its database, the tables of a new one, and the block types that it knows."""
