"""What runs the script of a step in its place: a module each, which travels to wherever the step runs.

Step types name theirs by `DriverOptions` of `flows/steps/driver_options.py`.
"""
