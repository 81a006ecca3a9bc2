"""What runs the script of a step in its place: a module each, which travels to wherever the step runs."""
