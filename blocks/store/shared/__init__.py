"""Results shared by every machine that reaches a datastore: signed records, written last, and bytes by content."""
