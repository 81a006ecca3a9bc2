"""Several runs side by side: a table of their parameters and metrics, what differs between two, and which are looked for."""
