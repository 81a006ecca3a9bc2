"""Pipeline parameters: their kinds, values and schema."""
