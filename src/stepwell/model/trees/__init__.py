"""The entries of trees, few bytes each."""
