"""What the Pythons that a watched script starts find first on their search path, and then no more."""
