"""Steps in containers."""
