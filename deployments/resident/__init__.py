"""A process that has Prefect and Stepwell imported, and becomes each command that asks: they start in milliseconds."""
