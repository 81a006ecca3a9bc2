"""Run configurations: v1's settings of a script, apart from its step."""
