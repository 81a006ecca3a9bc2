"""Steps that run a script many times, over parts of their data or over values of its parameters."""
