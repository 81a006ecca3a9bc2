"""A run while it is at work: where its steps are, and what their scripts write, as it comes."""
