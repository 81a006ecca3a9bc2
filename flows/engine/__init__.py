"""From a definition to records: bind, decide, schedule, perform, materialize. It knows definitions only."""
