"""The classes that users import: thin, and free to know each other."""
