"""What .NET does and DuckDB does not: regular expressions, casing and exact numbers, in Python."""
