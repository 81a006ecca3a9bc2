"""What a pipeline parameter may be."""
