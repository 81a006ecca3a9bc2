"""The interface between a step and where it runs, and the processes of this machine."""
