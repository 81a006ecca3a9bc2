"""Steps that run a script or a program."""
