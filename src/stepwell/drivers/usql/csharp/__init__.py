"""The syntax of U-SQL, and its expressions of C# in DuckDB's SQL."""
