"""What of a source directory counts, and which commit it is."""
