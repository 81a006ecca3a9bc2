"""One process and its descendants, from its start to the last child's end."""
