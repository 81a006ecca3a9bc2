"""What a script may ask the host of its run, and how the host answers: its only way to the workspace."""
