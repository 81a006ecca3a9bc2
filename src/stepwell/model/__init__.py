"""What has which digest, and the frozen values that every room shares; on the standard library alone."""
