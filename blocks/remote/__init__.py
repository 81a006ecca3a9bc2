"""Objects of a datastore, by name: read, written, created once, compared and swapped, with guarantees that were measured."""
