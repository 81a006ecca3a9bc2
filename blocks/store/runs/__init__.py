"""The runs of a store and of other machines: an index, heartbeats, and what travels through a shared store."""
