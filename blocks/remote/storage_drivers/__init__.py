"""A kind of storage is a module here: how objects are read and written, and what tells their versions apart."""
