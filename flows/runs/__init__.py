"""A run seen from outside: launched, followed, cancelled, summarised, drawn."""
