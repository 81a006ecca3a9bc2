"""Steps that move, query or transform data by an engine."""
