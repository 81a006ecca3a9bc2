"""The commands on several runs: listed, compared, told apart, marked, deleted, swept over values."""
