"""The first commands of somebody new: a project to begin with, and what works on this machine."""
