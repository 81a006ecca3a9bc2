"""What users call public functions with, checked against the type hints of these functions."""
